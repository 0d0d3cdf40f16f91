//! Front-ends compute what is new and nothing else.

use sndpipe_engine::Outcome;

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
    assert!(message.contains("1 of 6 clips cannot be used:\n  3.wav: a text file, not audio"), "{message}");
    assert!(message.contains("on_error: skip"), "{message}");
    assert_eq!(failed.status("mel"), "skipped");

    let skipping = STAGES.replace("8000 }", "8000, on_error: skip }");
    let ran = sandbox.run(&skipping);
    let rows = ran.rows("audio");
    assert_eq!((rows.computed, rows.reused, rows.skipped), (0, 6, 1), "what `fail` computed is kept");
    assert_eq!(ran.manifest("mel", 0).rows, 5);
    assert!(ran.log("audio").contains("3.wav: a text file, not audio"));
}

#[test]
fn frequencies_that_the_audio_lacks_are_an_error_of_the_plan() {
    let sandbox = Sandbox::new();
    sandbox.tones();
    let said = sandbox.refused(&STAGES.replace("high_hz: 4000", "high_hz: 5000"));
    assert!(said.contains("`high_hz` of stage `mel`: 5000 is above half the sample rate, 4000"), "{said}");
}

#[test]
fn what_the_audio_lacks_of_a_recipe_is_told_and_the_values_used_are_in_the_metadata() {
    let sandbox = Sandbox::new();
    sandbox.tones();
    // 2,048 points at 22,050 Hz are 743 at 8,000: 1,024 bins of 7.8 Hz, too wide for 512 bands from 0 to 4,000 Hz.
    let stages = STAGES.replace("bands: 20, high_hz: 4000", "recipe: f2, bands: 512");
    let ran = sandbox.run(&stages);
    let Outcome::Ran { remarks, .. } = ran.outcome("mel") else { panic!("{}", ran.statuses()) };
    assert_eq!(remarks[0], "recipe f2 goes up to 22050 Hz, audio at 8000 Hz to 4000: `high_hz` is 4000");
    assert!(
        remarks[1].contains(" of 512 mel bands lie between two FFT bins and never change (0, "),
        "{remarks:?}"
    );
    assert_eq!(remarks.len(), 2);
    let used = &ran.manifest("mel", 0).meta["used"];
    assert_eq!((&used["high_hz"], &used["low_hz"]), (&serde_json::json!(4000.0), &serde_json::json!(0.0)));
    // 40 ms and 20 ms.
    assert_eq!(
        (&used["window_samples"], &used["hop_samples"]),
        (&serde_json::json!(320), &serde_json::json!(160))
    );
    // Nothing is told of a recipe that fits.
    let Outcome::Ran { remarks, .. } = sandbox.run(STAGES).outcome("mel").clone() else { panic!() };
    assert_eq!(remarks, Vec::<String>::new());
}
