//! Files that a program seems to depend on and that are not among its `files`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::files::covers;
use super::params::CommandParams;
use super::placeholder::{Piece, pieces};

/// So many scripts are looked through, at most.
const SCRIPTS: usize = 200;
/// So many files are named.
const SHOWN: usize = 5;

/// A remark about Python modules that lie beside the listed scripts, or in the current folder, and that these import without being listed.
pub(super) fn modules<'a>(listed: impl Iterator<Item = &'a Path>) -> Option<String> {
    let known: BTreeSet<PathBuf> = listed.filter_map(|path| fs_err::canonicalize(path).ok()).collect();
    let is_script = |path: &&PathBuf| path.extension().is_some_and(|extension| extension == "py");
    let mut roots: BTreeSet<PathBuf> =
        known.iter().filter(is_script).filter_map(|path| Some(path.parent()?.to_owned())).collect();
    if roots.is_empty() {
        return None;
    }
    roots.extend(std::env::current_dir());
    let mut missing = BTreeSet::new();
    let mut next: Vec<PathBuf> = known.iter().filter(is_script).cloned().collect();
    let mut seen: BTreeSet<PathBuf> = next.iter().cloned().collect();
    while let Some(script) = next.pop().filter(|_| seen.len() <= SCRIPTS) {
        let Ok(text) = fs_err::read(&script) else { continue };
        let text = String::from_utf8_lossy(&text);
        for import in imports(&text) {
            for file in import.files(&script, &roots) {
                if !known.contains(&file) {
                    missing.insert(file.clone());
                }
                if seen.insert(file.clone()) {
                    next.push(file);
                }
            }
        }
    }
    if missing.is_empty() {
        return None;
    }
    let here = std::env::current_dir().unwrap_or_default();
    let names: Vec<String> = missing
        .iter()
        .take(SHOWN)
        .map(|path| format!("`{}`", path.strip_prefix(&here).unwrap_or(path).display()))
        .collect();
    let more = match missing.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let (is, it) = if missing.len() == 1 { ("is", "it") } else { ("are", "they") };
    Some(format!(
        "{}{more} {is} imported but not among `files`: a change in what {it} hold{} does not run this stage again",
        names.join(", "),
        if missing.len() == 1 { "s" } else { "" },
    ))
}

/// What an `import` statement names.
#[derive(Debug, PartialEq, Eq)]
struct Import<'a> {
    /// Dots before the name: how far up a relative import begins.
    dots: usize,
    module: &'a str,
    /// Names that are imported from it, each of which may be a module.
    names: Vec<&'a str>,
}

/// The import statements of a Python script, each on a line of its own.
fn imports(text: &str) -> Vec<Import<'_>> {
    let mut found = Vec::new();
    for line in text.lines().map(|line| line.split('#').next().unwrap_or_default().trim()) {
        // `import a, b as c`
        if let Some(modules) = line.strip_prefix("import ") {
            let modules = modules.split(',').filter_map(|module| module.split_whitespace().next());
            found.extend(modules.filter(|module| is_module(module)).map(|module| Import {
                dots: 0,
                module,
                names: Vec::new(),
            }));
        } else if let Some(rest) = line.strip_prefix("from ")
            && let Some((module, names)) = rest.split_once(" import ")
        {
            let module = module.trim();
            let name = module.trim_start_matches('.');
            let names = names.trim_matches(['(', ')', ' ']).split(',');
            let names =
                names.filter_map(|name| name.split_whitespace().next()).filter(|name| is_module(name));
            if name.is_empty() || is_module(name) {
                found.push(Import { dots: module.len() - name.len(), module: name, names: names.collect() });
            }
        }
    }
    found
}

fn is_module(name: &str) -> bool {
    !name.is_empty()
        && name
            .split('.')
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || c == '_'))
}

impl Import<'_> {
    /// The files that it leads to below some folders, or beside the script.
    fn files(&self, script: &Path, roots: &BTreeSet<PathBuf>) -> Vec<PathBuf> {
        let mut files = Vec::new();
        match self.dots {
            0 => roots.iter().for_each(|root| self.below(root, &mut files)),
            dots => {
                if let Some(folder) = script.ancestors().nth(dots) {
                    self.below(folder, &mut files);
                }
            }
        }
        files.iter().filter_map(|file| fs_err::canonicalize(file).ok()).collect()
    }

    fn below(&self, root: &Path, files: &mut Vec<PathBuf>) {
        let mut at = root.to_owned();
        let parts: Vec<&str> = self.module.split('.').filter(|part| !part.is_empty()).collect();
        for (index, part) in parts.iter().enumerate() {
            let module = at.join(format!("{part}.py"));
            if index + 1 == parts.len() && module.is_file() {
                files.push(module);
                return;
            }
            at.push(part);
            files.push(at.join("__init__.py"));
        }
        for name in &self.names {
            files.push(at.join(format!("{name}.py")));
            files.push(at.join(name).join("__init__.py"));
        }
    }
}

/// Arguments that name a file outside of `files`: with their absolute path they work, and what they lead to is no part of the key; relative
/// to the current folder they do not, for the program has a folder of its own.
pub(super) struct Arguments {
    pub absolute: Vec<String>,
    pub relative: Vec<String>,
}

impl Arguments {
    /// Looks at what follows the program, `--option=` left out.
    pub fn of(params: &CommandParams) -> Self {
        let mut found = Self { absolute: Vec::new(), relative: Vec::new() };
        for argument in params.program.iter().skip(1) {
            let pieces = pieces(argument).unwrap_or_default();
            let [Piece::Text(text)] = &pieces[..] else { continue };
            let path = match text.split_once('=') {
                Some((option, path)) if option.starts_with('-') => path,
                _ => text.as_str(),
            };
            let is_listed = params.files.iter().any(|file| file == path || covers(file, path));
            if is_listed || path.is_empty() || !Path::new(path).is_file() {
                continue;
            }
            let list = if path.starts_with('/') { &mut found.absolute } else { &mut found.relative };
            list.push(path.to_owned());
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which of some files a script imports, by their names, if it is the only one listed.
    fn missing(script: &str, files: &[&str]) -> Option<String> {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "").unwrap();
        }
        let path = dir.path().join("main.py");
        fs_err::write(&path, script).unwrap();
        let folder = fs_err::canonicalize(dir.path()).unwrap();
        modules(std::iter::once(path.as_path()))
            .map(|said| said.replace(&format!("{}/", folder.display()), ""))
    }

    #[test]
    fn imported_modules_are_named() {
        let files = ["a.py", "b.py", "pkg/__init__.py", "pkg/deep.py", "plain/x.py", "unused.py"];
        for (script, want) in [
            ("import a", "`a.py` is imported"),
            ("import os, a as x, b  # both\n", "`a.py`, `b.py` are imported"),
            ("from a import f", "`a.py` is imported"),
            ("    from b import (f,\n  g)", "`b.py` is imported"),
            ("import pkg", "`pkg/__init__.py` is imported"),
            ("import pkg.deep", "`pkg/__init__.py`, `pkg/deep.py` are imported"),
            ("from pkg import deep", "`pkg/__init__.py`, `pkg/deep.py` are imported"),
            ("from plain import x", "`plain/x.py` is imported"),
            ("from . import a", "`a.py` is imported"),
            ("from .b import f", "`b.py` is imported"),
        ] {
            let said = missing(script, &files).unwrap_or_default();
            assert!(said.starts_with(want), "{script}: {said}");
        }
        for script in ["import numpy as np", "from os import path", "print('import a')", "important = 1", ""]
        {
            assert_eq!(missing(script, &files), None, "{script}");
        }
    }

    #[test]
    fn what_a_module_imports_counts_and_what_is_listed_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            fs_err::write(&path, text).unwrap();
            path
        };
        let (main, a, b) = (file("main.py", "import a"), file("a.py", "import b"), file("b.py", "import a"));
        let said =
            |listed: &[&PathBuf]| modules(listed.iter().map(|path| path.as_path())).unwrap_or_default();
        assert!(said(&[&main]).contains("a.py`, `") && said(&[&main]).contains("b.py` are imported"));
        assert!(said(&[&main, &a]).contains("b.py` is imported"));
        assert_eq!(said(&[&main, &a, &b]), "");
    }
}
