//! `sndpipe predict`.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, json};
use sndpipe_stages::artefacts::audio::AudioFiles;
use sndpipe_stages::learn::predict::{Prediction, Scores, predict as apply};

use crate::args::{Pipeline, Predict, PredictFormat};
use crate::command::show::chosen;
use crate::console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::human::plural;
use crate::out::Out;
use crate::paint::Paint;
use crate::render::{Grid, Side};
use crate::results::{Results, never_ran, warn_if_old};
use crate::session::{Place, Session};

/// A file with its scores.
type Scored = (PathBuf, Scores);

/// Applies a trained model to audio files. Those that cannot be used are named when the scores of all others are printed.
pub fn predict(args: &Predict, place: Place<'_>) -> Result<Exit, Failure> {
    let model = model(&args.model, place)?;
    let Files { files, mut unusable } = Files::of(&args.paths)?;
    let bar = if console::is_terminal() {
        console::bars().add(ProgressBar::new(files.len() as u64))
    } else {
        ProgressBar::hidden()
    };
    let style = ProgressStyle::with_template("predicting  {bar:30.cyan}  {pos}/{len} files");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸ "));
    let predictions = apply(&model, &files, &|done, _| bar.set_position(done));
    bar.finish_and_clear();
    let mut scored: Vec<Scored> = Vec::with_capacity(files.len());
    for Prediction { path, result } in predictions? {
        match result {
            Ok(scores) => scored.push((path, scores)),
            Err(reason) => unusable.push((path, reason)),
        }
    }
    let mut out = Out::new();
    print(&mut out, &scored, args)?;
    out.finish()?;
    for (path, Scores { damage, .. }) in &scored {
        if let Some(damage) = damage {
            console::line(&format!("warning: {} is damaged inside: {damage}", path.display()));
        }
    }
    if unusable.is_empty() {
        return Ok(Exit::Done);
    }
    unusable.sort();
    for (path, reason) in &unusable {
        // Errors of the system name their path.
        let path = path.display().to_string();
        let named = if reason.contains(&path) { reason.clone() } else { format!("{path}: {reason}") };
        console::line(&format!("error: {named}"));
    }
    let all = scored.len() + unusable.len();
    let others = if scored.is_empty() { "" } else { "; the scores of the others are above" };
    Err(Failure::failed(format!(
        "{} of {} cannot be used{others}",
        unusable.len(),
        plural(all as u64, "file")
    )))
}

/// The bytes of an exported model, or of one in the cache.
fn model(name: &str, place: Place<'_>) -> Result<Vec<u8>, Failure> {
    let path = Path::new(name);
    if path.is_file() {
        return fs_err::read(path).map_err(|error| Failure::usage(error.to_string()));
    }
    let Some((file, stage)) = name.split_once(':') else {
        let help = "give an exported `.safetensors` file, or `FILE:STAGE` for a model in the cache";
        return Err(Failure::usage(format!("there is no model file `{name}`")).help(help));
    };
    let pipeline = Pipeline { file: PathBuf::from(file), set: Vec::new() };
    let session = Session::open(&pipeline, place)?;
    let (ids, output) = chosen(&session.graph, stage)?;
    let &[id] = &ids[..] else {
        let cells: Vec<String> =
            ids.iter().take(4).map(|&id| session.graph.instances[id].to_string()).collect();
        let message = format!("`{stage}` names {} models", ids.len());
        return Err(Failure::usage(message).help(format!("name one, such as `{}`", cells.join("`, `"))));
    };
    let found = Results::look(&session, &ids)?.find(id).ok_or_else(|| never_ran(&session.graph, id))?;
    warn_if_old(&session.graph, id, &found);
    let manifest = found.artefact(&session.store, output).ok_or_else(|| never_ran(&session.graph, id))?;
    if manifest.kind != sndpipe_engine::Kind::Model.name() {
        return Err(Failure::usage(format!("`{stage}` gives {}, not a model", manifest.kind)));
    }
    Ok(session.store.read_blob(&manifest)?)
}

/// The files that are named, and the audio files below folders that are, each once and sorted.
#[derive(Default)]
struct Files {
    files: Vec<PathBuf>,
    /// What cannot be looked at, with the reason.
    unusable: Vec<(PathBuf, String)>,
}

impl Files {
    fn of(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut all = Self::default();
        for path in paths {
            if path.is_dir() {
                let below = AudioFiles::below(path);
                let told = below.unused.told();
                if below.files.is_empty() && below.unreadable.is_empty() {
                    let unused = told.map(|told| format!("; {told}")).unwrap_or_default();
                    return Err(Failure::usage(format!(
                        "there is no audio file in {}{unused}",
                        path.display()
                    )));
                }
                if let Some(told) = told {
                    console::line(&format!("{}: {told}", path.display()));
                }
                all.files.extend(below.files);
                all.unusable.extend(below.unreadable);
            } else if path.is_file() {
                all.files.push(path.clone());
            } else {
                return Err(Failure::usage(format!("there is no file {}", path.display())));
            }
        }
        all.files.sort();
        all.files.dedup();
        Ok(all)
    }
}

/// The scores of a file, the highest first where only some are asked for.
fn best(scores: &Scores, top: Option<usize>) -> Vec<(String, f32)> {
    let mut scores = scores.classes.clone();
    if let Some(top) = top {
        scores.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        scores.truncate(top);
    }
    scores
}

fn print(out: &mut Out, scored: &[Scored], args: &Predict) -> Result<(), Failure> {
    match args.format {
        PredictFormat::Json => {
            for (path, scores) in scored {
                let classes: Map<_, _> =
                    best(scores, args.top).into_iter().map(|(class, score)| (class, json!(score))).collect();
                let mut line = json!({ "path": path.display().to_string(), "scores": classes });
                if let Some(damage) = &scores.damage {
                    line["damage"] = json!(damage);
                }
                out.json(&line)?;
            }
            Ok(())
        }
        PredictFormat::Csv => csv(out, scored, args.top),
        PredictFormat::Text => text(out, scored, args.top),
    }
}

/// One line for each file and class.
fn csv(out: &mut Out, scored: &[Scored], top: Option<usize>) -> Result<(), Failure> {
    let failed = |error: csv::Error| Failure::failed(error.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["path", "class", "score"]).map_err(failed)?;
    for (path, scores) in scored {
        for (class, score) in best(scores, top) {
            writer.write_record([&path.display().to_string(), &class, &score.to_string()]).map_err(failed)?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| Failure::failed(error.to_string()))?;
    out.text(&String::from_utf8_lossy(&bytes))
}

/// One line for each file, its best classes beside it.
fn text(out: &mut Out, scored: &[Scored], top: Option<usize>) -> Result<(), Failure> {
    const SHOWN: usize = 3;
    let paint = Paint::stdout();
    let mut grid = Grid::new(&[Side::Left, Side::Left]);
    for (path, scores) in scored {
        let best = best(scores, Some(top.unwrap_or(SHOWN)));
        let scores: Vec<String> = best.iter().map(|(class, score)| format!("{class} {score:.3}")).collect();
        grid.row([paint.cyan(path.display()), scores.join("  ")]);
    }
    grid.lines().iter().try_for_each(|line| out.line(line))
}
