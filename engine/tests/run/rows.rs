//! Rows: which are computed, reused, left out, remarked on.

use super::toys::count;
use super::*;

#[test]
fn rows_are_computed_once_whatever_their_clip_is_called() {
    let bench = Bench::new();
    let data = bench.path("data");
    fs_err::create_dir(&data).unwrap();
    for (name, text) in [("a", "x"), ("b", "yy"), ("c", "zzz"), ("d", "zzz")] {
        fs_err::write(data.join(name), text).unwrap();
    }
    let stages = |license: &str| {
        format!(
            "
stages:
  clips: {{ uses: files, with: {{ root: {}, license: {license} }} }}
  lengths: {{ uses: lengths, in: clips, with: {{ tag: rows }} }}
  again: {{ uses: lengths, in: lengths, with: {{ scale: 2, tag: rows-again }} }}
",
            data.display()
        )
    };
    let ran = bench.run(&stages("cc0"));
    assert_eq!((count("rows"), count("rows-again")), (3, 3), "c and d have one content");
    assert_eq!(ran.manifest("again").rows, 4);
    let values = |ran: &Ran| {
        let rows = ran.store.open_rows(&ran.manifest("again")).unwrap();
        (0..rows.len())
            .map(|i| (rows.ids()[i].to_owned(), rows.row(i).unwrap().to_f32()[0]))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        values(&ran),
        [("a", 2.0), ("b", 4.0), ("c", 6.0), ("d", 6.0)].map(|(id, value)| (id.to_owned(), value))
    );

    assert_eq!(bench.run(&stages("by")).statuses(), "clips ran, lengths cached, again cached");

    fs_err::write(data.join("e"), "vvvvv").unwrap();
    let ran = bench.run(&stages("by"));
    assert_eq!((count("rows"), count("rows-again")), (4, 4), "one clip more computes one row");
    let Outcome::Ran { rows, .. } = ran.outcome("lengths") else { panic!() };
    assert_eq!((rows.computed, rows.reused, rows.skipped), (1, 4, 0));

    fs_err::rename(data.join("a"), data.join("z")).unwrap();
    fs_err::remove_file(data.join("b")).unwrap();
    let ran = bench.run(&stages("by"));
    assert_eq!((count("rows"), count("rows-again")), (4, 4), "removing and renaming compute none");
    assert_eq!(
        values(&ran),
        [("c", 6.0), ("d", 6.0), ("e", 10.0), ("z", 2.0)].map(|(id, value)| (id.to_owned(), value))
    );

    // Moved and touched: the content counts.
    let moved = bench.path("elsewhere");
    fs_err::rename(&data, &moved).unwrap();
    for entry in fs_err::read_dir(&moved).unwrap() {
        let path = entry.unwrap().path();
        let bytes = fs_err::read(&path).unwrap();
        fs_err::write(&path, bytes).unwrap();
    }
    let text = stages("by").replace(&data.display().to_string(), &moved.display().to_string());
    assert_eq!(bench.run(&text).statuses(), "clips cached, lengths cached, again cached");
}

#[test]
fn stages_that_share_rows_compute_each_once() {
    let bench = Bench::new();
    for (folder, from) in [("one", 0), ("two", 150)] {
        fs_err::create_dir(bench.path(folder)).unwrap();
        for n in from..from + 300 {
            fs_err::write(bench.path(folder).join(n.to_string()), format!("clip {n}")).unwrap();
        }
    }
    let stages = format!(
        "
stages:
  first: {{ uses: files, with: {{ root: {} }} }}
  second: {{ uses: files, with: {{ root: {} }} }}
  a: {{ uses: lengths, in: first, with: {{ tag: shared-rows }} }}
  b: {{ uses: lengths, in: second, with: {{ tag: shared-rows }} }}
",
        bench.path("one").display(),
        bench.path("two").display()
    );
    let ran = bench.run(&stages);
    assert_eq!(count("shared-rows"), 450);
    let computed = |stage: &str| {
        let Outcome::Ran { rows, .. } = ran.outcome(stage) else { panic!() };
        assert_eq!(rows.computed + rows.reused, 300);
        rows.computed
    };
    assert_eq!(computed("a") + computed("b"), 450);
}

#[test]
fn a_damaged_shard_costs_its_rows_and_nothing_else() {
    let bench = Bench::new();
    let data = bench.path("data");
    fs_err::create_dir(&data).unwrap();
    for name in ["a", "b", "c"] {
        fs_err::write(data.join(name), name.repeat(3)).unwrap();
    }
    let stages = |scale: f32| {
        format!(
            "
stages:
  clips: {{ uses: files, with: {{ root: {} }} }}
  lengths: {{ uses: lengths, in: clips, with: {{ tag: shard }} }}
  again: {{ uses: lengths, in: lengths, with: {{ scale: {scale} }} }}
",
            data.display()
        )
    };
    let ran = bench.run(&stages(2.0));
    let manifest = ran.manifest("lengths");
    let Form::Rows { shards, .. } = &manifest.form else { panic!() };
    let file = ran.store.file_path(&shards[0]);
    let mut bytes = fs_err::read(&file).unwrap();
    let at = bytes.windows(4).position(|window| window == 3.0_f32.to_le_bytes()).unwrap();
    bytes[at] ^= 1;
    fs_err::write(&file, bytes).unwrap();
    let ran = bench.run(&stages(3.0));
    assert_eq!(ran.statuses(), "clips cached, lengths ran, again ran");
    let rows = ran.store.open_rows(&ran.manifest("again")).unwrap();
    for i in 0..3 {
        assert_eq!(rows.row(i).unwrap().to_f32()[0], 9.0);
    }
}

#[test]
fn unusable_clips_fail_the_stage_or_are_left_out_with_their_reason() {
    let bench = Bench::new();
    let data = bench.path("data");
    fs_err::create_dir(&data).unwrap();
    fs_err::write(data.join("good"), "fine").unwrap();
    fs_err::write(data.join("evil"), "!").unwrap();
    let stages = |skip: bool| {
        format!(
            "
stages:
  clips: {{ uses: files, with: {{ root: {} }} }}
  lengths: {{ uses: lengths, in: clips, with: {{ skip: {skip}, tag: unusable }} }}
",
            data.display()
        )
    };
    let ran = bench.run(&stages(false));
    let Outcome::Failed { message, help, .. } = ran.outcome("lengths") else { panic!() };
    assert_eq!(message, "1 of 2 clips cannot be used:\n  evil: it starts with `!`");
    assert!(help.as_ref().unwrap().contains("on_error: skip"));
    let ran = bench.run(&stages(true));
    let rows = ran.store.open_rows(&ran.manifest("lengths")).unwrap();
    assert_eq!(
        (rows.len(), rows.skipped()),
        (1, &[("evil".to_owned(), "it starts with `!`".to_owned())][..])
    );
}

#[test]
fn a_remark_stays_with_its_row_and_can_make_the_clip_unusable() {
    let bench = Bench::new();
    let data = bench.path("data");
    fs_err::create_dir(&data).unwrap();
    for (name, text) in [("a", "~~"), ("b", "whole"), ("c", "~~~")] {
        fs_err::write(data.join(name), text).unwrap();
    }
    let stages = |with: &str| {
        let root = data.display();
        format!(
            "
stages:
  clips: {{ uses: files, with: {{ root: {root} }} }}
  lengths: {{ uses: lengths, in: clips, with: {{ tag: remarks{with} }} }}
"
        )
    };
    let remarks = |ran: &Ran| ran.store.open_rows(&ran.manifest("lengths")).unwrap().remarks().to_vec();
    let told = |ran: &Ran| match ran.outcome("lengths") {
        Outcome::Ran { rows, remarks, .. } => (rows.computed, rows.remarked, remarks.join("\n")),
        other => panic!("{other:?}"),
    };
    let named = |names: &[&str], text: &str| -> Vec<(String, String)> {
        names.iter().map(|name| ((*name).to_owned(), text.to_owned())).collect()
    };
    let ran = bench.run(&stages(""));
    assert_eq!(
        told(&ran),
        (3, 2, "2 of 3 clips are odd:\n  a: at 0: `~` of 2\n  c: at 0: `~` of 3".to_owned())
    );
    assert_eq!(remarks(&ran)[..1], named(&["a"], "at 0: `~` of 2"));
    let Outcome::Cached { remarked, .. } = *bench.run(&stages("")).outcome("lengths") else { panic!() };
    assert_eq!(remarked, 2, "a cached stage still counts them");

    // A renamed file and one with the same content are not computed, and keep the remark.
    fs_err::rename(data.join("c"), data.join("d")).unwrap();
    fs_err::write(data.join("e"), "~~").unwrap();
    let ran = bench.run(&stages(""));
    assert_eq!((told(&ran).0, told(&ran).1), (0, 3));
    assert_eq!(
        remarks(&ran),
        [named(&["a"], "at 0: `~` of 2"), named(&["d"], "at 0: `~` of 3"), named(&["e"], "at 0: `~` of 2")]
            .concat()
    );

    // Refused by their remarks, without being computed again; and taken back.
    let ran = bench.run(&stages(", refuse: true"));
    let Outcome::Failed { message, .. } = ran.outcome("lengths") else { panic!() };
    assert!(message.starts_with("3 of 4 clips cannot be used:\n  a: at 0: `~` of 2\n  d: "), "{message}");
    let ran = bench.run(&stages(", refuse: true, skip: true"));
    assert_eq!((told(&ran).0, told(&ran).1), (0, 0));
    let rows = ran.store.open_rows(&ran.manifest("lengths")).unwrap();
    assert_eq!((rows.len(), rows.skipped().len(), rows.remarks().len()), (1, 3, 0));
    fs_err::remove_file(data.join("a")).unwrap();
    assert_eq!(told(&bench.run(&stages(", skip: true"))).0, 0);
    assert_eq!(count("remarks"), 3, "rows are computed once");
}

#[test]
fn a_panic_names_stage_row_and_place_and_loses_no_other_row() {
    let bench = Bench::new();
    let data = bench.path("data");
    fs_err::create_dir(&data).unwrap();
    for (name, text) in [("good", "fine"), ("odd", "?"), ("well", "also fine")] {
        fs_err::write(data.join(name), text).unwrap();
    }
    let stages = format!(
        "
stages:
  clips: {{ uses: files, with: {{ root: {} }} }}
  lengths: {{ uses: lengths, in: clips, with: {{ tag: question }} }}
  bad: {{ uses: fail, in: lengths_of, with: {{ how: panic }} }}
  lengths_of: {{ uses: number, with: {{ value: 1 }} }}
",
        data.display()
    );
    let ran = bench.run(&stages);
    let Outcome::Failed { message, help, .. } = ran.outcome("lengths") else { panic!() };
    assert!(
        message.starts_with("clip `odd`: the stage panicked at engine/tests/run/toys.rs:")
            && message.ends_with(": a question broke the stage"),
        "{message}"
    );
    assert!(help.as_ref().unwrap().contains("a bug in the stage"));
    let Outcome::Failed { message, .. } = ran.outcome("bad") else { panic!() };
    assert!(message.starts_with("the stage panicked at engine/tests/run/toys.rs:"), "{message}");
    let computed = count("question");
    fs_err::write(data.join("odd"), "no question").unwrap();
    let again = bench.run(&stages);
    assert_eq!((again.status("lengths"), count("question") - computed), ("ran", 1));
}
