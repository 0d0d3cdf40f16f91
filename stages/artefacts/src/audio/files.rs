//! Which files of a folder are audio files, and what becomes of the others.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// Extensions of the audio files that `decode` reads, without the dot.
pub const EXTENSIONS: [&str; 33] = [
    "wav", "wave", "bwf", "rf64", "bw64", "w64", "aif", "aiff", "aifc", "au", "snd", "caf", "flac", "ogg",
    "oga", "opus", "mp1", "mp2", "mp3", "mpa", "mpga", "aac", "adts", "m4a", "m4b", "mp4", "m4v", "mov",
    "3gp", "webm", "weba", "mka", "mkv",
];

/// Files that systems and programs leave beside others, besides hidden ones.
const COMPANIONS: [&str; 4] = ["thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"];

/// Folders that systems leave beside others, besides hidden ones.
const COMPANION_FOLDERS: [&str; 4] = ["__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information"];

/// Whether a file has one of these extensions, in any case.
pub fn has_extension(path: &Path, extensions: &[impl AsRef<str>]) -> bool {
    let extension = path.extension().and_then(OsStr::to_str);
    extension.is_some_and(|extension| {
        extensions.iter().any(|known| known.as_ref().eq_ignore_ascii_case(extension))
    })
}

/// Whether nobody means a file or folder when naming the folder around it: it is hidden (`.DS_Store`, `._a.wav`), or a system left it.
pub fn is_companion(name: &OsStr) -> bool {
    let Some(text) = name.to_str() else { return name.as_encoded_bytes().starts_with(b".") };
    text.starts_with('.')
        || COMPANION_FOLDERS.contains(&text)
        || COMPANIONS.contains(&text.to_lowercase().as_str())
}

/// Files that are no audio files by their extensions, counted by extension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unused(BTreeMap<String, u64>);

impl Unused {
    /// Counts a file.
    pub fn add(&mut self, path: &Path) {
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        *self.0.entry(extension.unwrap_or_default()).or_default() += 1;
    }

    /// Says how many files there are, the most frequent extensions first: "4 files with other extensions are not used: 3 .wma, 1 .txt".
    /// `None`: there are none.
    #[must_use]
    pub fn told(&self) -> Option<String> {
        const SHOWN: usize = 8;
        let mut kinds: Vec<(&String, u64)> = self.0.iter().map(|(kind, count)| (kind, *count)).collect();
        kinds.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let word = |&(kind, count): &(&String, u64)| match kind.as_str() {
            "" => format!("{count} without one"),
            kind => format!("{count} .{kind}"),
        };
        let mut words: Vec<String> = kinds.iter().take(SHOWN).map(word).collect();
        let rest: u64 = kinds.iter().skip(SHOWN).map(|(_, count)| count).sum();
        if rest > 0 {
            words.push(format!("{rest} others"));
        }
        let total: u64 = self.0.values().sum();
        let verb =
            if total == 1 { "file with another extension is" } else { "files with other extensions are" };
        (total > 0).then(|| format!("{total} {verb} not used: {}", words.join(", ")))
    }
}

/// What lies below a folder.
#[derive(Debug, Default)]
pub struct AudioFiles {
    /// The audio files, by name.
    pub files: Vec<PathBuf>,
    /// The others.
    pub unused: Unused,
    /// What could not be listed, each with the reason.
    pub unreadable: Vec<(PathBuf, String)>,
}

impl AudioFiles {
    /// Lists a folder and those in it, links to folders included.
    #[must_use]
    pub fn below(dir: &Path) -> Self {
        let mut all = Self::default();
        let walk = WalkDir::new(dir).min_depth(1).follow_links(true).sort_by_file_name().into_iter();
        for entry in walk.filter_entry(|entry| entry.depth() == 0 || !is_companion(entry.file_name())) {
            match entry {
                Ok(entry) if !entry.file_type().is_file() => {}
                Ok(entry) if has_extension(entry.path(), &EXTENSIONS) => all.files.push(entry.into_path()),
                Ok(entry) => all.unused.add(entry.path()),
                Err(error) => {
                    let path = error.path().unwrap_or(dir).to_owned();
                    let reason = match error.io_error() {
                        Some(error) => error.to_string(),
                        None => error.to_string(),
                    };
                    all.unreadable.push((path, reason));
                }
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_count_in_any_case_and_companions_never() {
        for name in ["a.wav", "b.WAV", "c.Opus", "d.x.aiff", "e.MP4"] {
            assert!(has_extension(Path::new(name), &EXTENSIONS), "{name}");
        }
        for name in ["wav", "a.wav.txt", "a.", ".wav"] {
            assert!(!has_extension(Path::new(name), &EXTENSIONS), "{name}");
        }
        for name in [".DS_Store", "._a.wav", "Thumbs.db", "Desktop.ini", "__MACOSX", "@eaDir"] {
            assert!(is_companion(OsStr::new(name)), "{name}");
        }
        assert!(!is_companion(OsStr::new("a.wav")) && !is_companion(OsStr::new("thumbs")));
    }

    #[test]
    fn unused_files_are_told_by_extension() {
        let told = |names: &[&str]| {
            let mut unused = Unused::default();
            names.iter().for_each(|name| unused.add(Path::new(name)));
            unused.told()
        };
        assert_eq!(told(&[]), None);
        assert_eq!(told(&["x/a.txt"]).unwrap(), "1 file with another extension is not used: 1 .txt");
        assert_eq!(
            told(&["b.txt", "README", "a.wma", "c.WMA", "d.wma"]).unwrap(),
            "5 files with other extensions are not used: 3 .wma, 1 without one, 1 .txt"
        );
        let many: Vec<String> = (0..10).map(|n| format!("a.x{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(told(&many).unwrap().ends_with("1 .x7, 2 others"));
    }

    #[test]
    fn folders_are_listed_with_those_behind_links_and_without_companions() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for folder in ["set/deep", "set/.hidden", "set/__MACOSX", "else"] {
            fs_err::create_dir_all(at(folder)).unwrap();
        }
        for name in [
            "set/b.Flac",
            "set/a.txt",
            "set/deep/c.opus",
            "set/.hidden/d.wav",
            "set/__MACOSX/e.wav",
            "else/f.wav",
        ] {
            fs_err::write(at(name), "").unwrap();
        }
        fs_err::os::unix::fs::symlink(at("else"), at("set/link")).unwrap();
        fs_err::os::unix::fs::symlink(at("nowhere.wav"), at("set/gone.wav")).unwrap();
        let all = AudioFiles::below(&at("set"));
        let wanted = ["set/b.Flac", "set/deep/c.opus", "set/link/f.wav"].map(at);
        assert_eq!(all.files, wanted);
        assert!(all.unused.told().unwrap().ends_with("1 .txt"));
        assert_eq!(all.unreadable.len(), 1);
        assert_eq!(all.unreadable[0].0, at("set/gone.wav"));
    }
}
