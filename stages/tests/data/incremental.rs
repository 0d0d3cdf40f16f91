//! Front-ends compute what is new and nothing else.

use crate::sandbox::Sandbox;

const STAGES: &str = "
stages:
  clips: { uses: dataset.csv, with: { manifest: 'DIR/data/data.csv' } }
  audio: { uses: decode, in: clips, with: { sample_rate: 8000 } }
  mel: { uses: spectrogram, in: audio, with: { bands: 20, high_hz: 4000 } }
";

#[test]
fn a_clip_more_is_a_row_more() {
    let sandbox = Sandbox::new();
    sandbox.tones();
    let first = sandbox.run(STAGES);
    assert_eq!((first.rows("audio").computed, first.rows("mel").computed), (6, 6));
    sandbox.tone("data/new.wav", 1000.0);
    let text = fs_err::read_to_string(sandbox.path("data/data.csv")).unwrap();
    sandbox.file("data/data.csv", format!("{text}new.wav,high,1,person-9,CC0\n"));
    let second = sandbox.run(STAGES);
    for stage in ["audio", "mel"] {
        assert_eq!((second.rows(stage).computed, second.rows(stage).reused), (1, 6), "{stage}");
    }
    assert_eq!(sandbox.run(STAGES).statuses(), "clips cached, audio cached, mel cached");
}

#[test]
fn features_say_what_they_are_made_of() {
    let sandbox = Sandbox::new();
    sandbox.tones();
    let ran = sandbox.run(STAGES);
    let audio = ran.manifest("audio", 0).meta;
    assert_eq!((&audio["sample_rate"], &audio["channels"]), (&8000.into(), &1.into()));
    let mel = ran.manifest("mel", 0).meta;
    assert_eq!((&mel["channels"], &mel["bands"]), (&1.into(), &20.into()));
    assert_eq!(mel["recipe"]["decode"], audio["recipe"]["decode"]);
    assert_eq!(mel["recipe"]["decode"]["sample_rate"], 8000);
    assert_eq!(mel["recipe"]["spectrogram"]["bands"], 20);
    // F1's hop of 220 samples at 22,050 Hz is 80 at 8,000 Hz: 100 frames a second, 11 in a tenth of one.
    assert_eq!(mel["frame_rate"], 100.0);
    let rows = ran.store.open_rows(&ran.manifest("mel", 0)).unwrap();
    let row = rows.row(0).unwrap();
    assert_eq!((row.frames, row.values.len()), (11, 11 * 20));
}

#[test]
fn broken_files_fail_or_are_left_out_and_good_rows_are_kept() {
    let sandbox = Sandbox::new();
    sandbox.tones();
    sandbox.file("data/3.wav", "no sound at all");
    let failed = sandbox.try_run(STAGES);
    let message = failed.failure("audio");
    assert!(message.contains("1 of 6 clips cannot be used:\n  3.wav: not an audio file"), "{message}");
    assert!(message.contains("on_error: skip"), "{message}");
    assert_eq!(failed.status("mel"), "skipped");

    let skipping = STAGES.replace("8000 }", "8000, on_error: skip }");
    let ran = sandbox.run(&skipping);
    let rows = ran.rows("audio");
    assert_eq!((rows.computed, rows.reused, rows.skipped), (0, 6, 1), "what `fail` computed is kept");
    assert_eq!(ran.manifest("mel", 0).rows, 5);
    assert!(ran.log("audio").contains("3.wav: not an audio file"));
}

#[test]
fn frequencies_that_the_audio_lacks_are_an_error_of_the_plan() {
    let sandbox = Sandbox::new();
    sandbox.tones();
    let said = sandbox.refused(&STAGES.replace("high_hz: 4000", "high_hz: 5000"));
    assert!(said.contains("`high_hz` of stage `mel`: 5000 is above half the sample rate, 4000"), "{said}");
}
