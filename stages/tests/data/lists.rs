//! Lists and folders as people have them: quotes that are left open, names in other Unicode forms, files of other kinds.

use sndpipe_engine::Outcome;

use crate::sandbox::{Ran, Sandbox};

const CSV: &str = "stages:\n  clips: { uses: dataset.csv, with: { manifest: 'DIR/data/data.csv' } }\n";
const FOLDER: &str = "stages:\n  clips: { uses: dataset.folder, with: { root: 'DIR/sounds' } }\n";

fn remarks(ran: &Ran) -> &[String] {
    match ran.outcome("clips") {
        Outcome::Ran { remarks, .. } => remarks,
        other => panic!("{other:?}"),
    }
}

/// Four sounds and a list of them.
fn listed(text: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    for n in 0..4 {
        sandbox.tone(&format!("data/{n}.wav"), 200.0 + 100.0 * n as f32);
    }
    sandbox.file("data/data.csv", text);
    sandbox
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let said = listed(text).refused(CSV);
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_quote_swallows_no_rows() {
    refused(
        "path,class\n0.wav,dog\n1.wav,\"cat\n2.wav,dog\n3.wav,cat\n",
        "line 3: a quote opens a cell and is never closed",
    );
    refused(
        "path,class\n0.wav,dog\n1.wav,\"cat\n2.wav,dog\"\n3.wav,cat\n",
        "line 3: the cell `class` goes on in the next line",
    );
    refused(
        "path,class\n0.wav,dog\n1.wav,\"cat\n2.wav,\"dog\"\n",
        "line 4: text after the quote that closes a cell, which opens on line 3",
    );
    // In a column that nobody reads.
    refused(
        "path,class,note\n0.wav,dog,\"a\n1.wav,cat,b\n2.wav,dog,c\"\n3.wav,cat,\n",
        "line 2: the cell `note` goes on in the next line",
    );
    // Prose of several lines swallows nothing.
    let sandbox =
        listed("path,class,note\n0.wav,dog,\"far away,\nin the rain, at night\"\n1.wav,cat,\"5\"\" tape\"\n");
    let ran = sandbox.run(&CSV.replace(" } }", ", keep: [note] } }"));
    assert_eq!(ran.column("clips", 0, "note"), ["far away,\nin the rain, at night", "5\" tape"]);
}

#[test]
fn cells_are_trimmed_in_every_column() {
    let text = "\u{feff}path , class,tag\r\n 0.wav ,\u{a0}dog\u{a0}, x \r\n\"1.wav \",\" cat\",\t\r\n\t2.wav,dog ,\u{feff}y\r\n";
    let sandbox = listed(text);
    let ran = sandbox.run(&CSV.replace(" } }", ", keep: [tag] } }"));
    assert_eq!(ran.column("clips", 0, "clip_id"), ["0.wav", "1.wav", "2.wav"]);
    assert_eq!(ran.column("clips", 0, "path"), ["0.wav", "1.wav", "2.wav"]);
    assert_eq!(ran.column("clips", 0, "tag"), ["x", "-", "y"]);
    assert_eq!(ran.manifest("clips", 1).meta["classes"], serde_json::json!(["cat", "dog"]));
}

/// `é` composed, and as `e` with an accent: other bytes, the same name.
const COMPOSED: &str = "\u{e9}";
const DECOMPOSED: &str = "e\u{301}";

#[test]
fn a_name_is_found_in_any_unicode_form() {
    for (file, listed) in [(DECOMPOSED, COMPOSED), (COMPOSED, DECOMPOSED)] {
        let sandbox = Sandbox::new();
        sandbox.tone(&format!("data/{file}te/{file}.wav"), 300.0);
        sandbox.tone("data/plain.wav", 400.0);
        sandbox.file("data/data.csv", format!("path,class\n{listed}te/{listed}.wav,a\nplain.wav,b\n"));
        let ran = sandbox.run(CSV);
        // The id is what the list says.
        let ids = ran.column("clips", 0, "clip_id");
        assert!(ids.contains(&format!("{listed}te/{listed}.wav")), "{ids:?}");
        assert_eq!(sandbox.run(CSV).status("clips"), "cached");
        fs_err::remove_file(sandbox.path(&format!("data/{file}te/{file}.wav"))).unwrap();
        assert!(sandbox.refused(CSV).contains("1 of 2 audio files is missing"));
    }
    // A link is followed no further than others are.
    let sandbox = Sandbox::new();
    sandbox.tone("elsewhere.wav", 300.0);
    sandbox.file("data/data.csv", format!("path,class\n{COMPOSED}.wav,a\n"));
    fs_err::os::unix::fs::symlink(
        sandbox.path("elsewhere.wav"),
        sandbox.path(&format!("data/{DECOMPOSED}.wav")),
    )
    .unwrap();
    assert!(sandbox.refused(CSV).contains("links lead out of the data set's folder"));
}

#[test]
fn classes_in_other_unicode_forms_are_one() {
    let text = format!("path,class\n0.wav,caf{COMPOSED}\n1.wav,caf{DECOMPOSED}\n2.wav,Caf{DECOMPOSED}\n");
    let accents = listed(&text);
    let ran = accents.run(CSV);
    let names = [format!("Caf{COMPOSED}"), format!("caf{COMPOSED}")];
    assert_eq!(ran.manifest("clips", 1).meta["classes"], serde_json::json!(names));
    let told = format!("classes that differ only in case: `{}` and `{}`", names[0], names[1]);
    assert_eq!(remarks(&ran), [told]);
    let given = CSV.replace(" } }", &format!(", classes: [Caf{DECOMPOSED}, caf{DECOMPOSED}] }} }}"));
    assert_eq!(accents.run(&given).ids("clips"), ran.ids("clips"));

    let sandbox = Sandbox::new();
    for (n, name) in [COMPOSED, DECOMPOSED].into_iter().enumerate() {
        sandbox.tone(&format!("sounds/{name}/{n}.wav"), 300.0 + n as f32);
    }
    assert_eq!(sandbox.run(FOLDER).manifest("clips", 1).meta["classes"], serde_json::json!([COMPOSED]));
}

#[test]
fn a_folder_gives_every_kind_of_audio_and_counts_the_rest() {
    let sandbox = Sandbox::new();
    let audio = ["a/0.wav", "a/1.AIFF", "a/2.opus", "b/3.mp4", "b/4.oga", "b/5.webm", "b/6.Mka", "b/7.aac"];
    for (n, name) in audio.iter().enumerate() {
        sandbox.file(&format!("sounds/{name}"), n.to_string());
    }
    for name in ["a/x.wma", "a/y.WMA", "b/notes.txt", "LICENSE", "a/.DS_Store", "a/._0.wav", "b/Thumbs.db"] {
        sandbox.file(&format!("sounds/{name}"), name);
    }
    let ran = sandbox.run(FOLDER);
    assert_eq!(ran.column("clips", 0, "clip_id"), audio);
    assert_eq!(remarks(&ran), ["4 files with other extensions are not used: 2 .wma, 1 without one, 1 .txt"]);
    let only = sandbox.run(&FOLDER.replace("sounds'", "sounds', extensions: [wav, wma, webm]"));
    assert_eq!(only.column("clips", 0, "clip_id"), ["a/0.wav", "a/x.wma", "a/y.WMA", "b/5.webm"]);
    let none = sandbox.refused(&FOLDER.replace("sounds'", "sounds', extensions: [au]"));
    assert!(
        none.contains(
            "holds no folder with audio files (au); 12 files with other extensions are not used: 2 .wma"
        ),
        "{none}"
    );
}
