//! `sndpipe predict`.

use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, json};
use sndpipe_stages::predict::{Prediction, predict as apply};

use crate::args::{Pipeline, Predict, PredictFormat};
use crate::command::show::chosen;
use crate::console;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::Out;
use crate::paint::Paint;
use crate::render::{Grid, Side};
use crate::results::{Results, never_ran, warn_if_old};
use crate::session::Session;

/// Applies a trained model to audio files.
pub fn predict(args: &Predict, cache: &Path) -> Result<Exit, Failure> {
    let model = model(&args.model, cache)?;
    let files = files(&args.paths)?;
    let bar = if console::is_terminal() {
        console::bars().add(ProgressBar::new(files.len() as u64))
    } else {
        ProgressBar::hidden()
    };
    let style = ProgressStyle::with_template("predicting  {bar:30.cyan}  {pos}/{len} files");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸ "));
    let predictions = apply(&model, &files, &|done, _| bar.set_position(done));
    bar.finish_and_clear();
    let predictions = predictions?;
    let mut out = Out::new();
    print(&mut out, &predictions, args)?;
    out.finish()?;
    Ok(Exit::Done)
}

/// The bytes of an exported model, or of one in the cache.
fn model(name: &str, cache: &Path) -> Result<Vec<u8>, Failure> {
    let path = Path::new(name);
    if path.is_file() {
        return fs_err::read(path).map_err(|error| Failure::usage(error.to_string()));
    }
    let Some((file, stage)) = name.split_once(':') else {
        let help = "give an exported `.safetensors` file, or `FILE:STAGE` for a model in the cache";
        return Err(Failure::usage(format!("there is no model file `{name}`")).help(help));
    };
    let pipeline = Pipeline { file: PathBuf::from(file), set: Vec::new() };
    let session = Session::open(&pipeline, cache)?;
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

/// The files, and those below folders that look like audio, each once and sorted.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let before = files.len();
            gather(path, &mut files)?;
            if files.len() == before {
                return Err(Failure::usage(format!("there is no audio file in {}", path.display())));
            }
        } else if path.is_file() {
            files.push(path.clone());
        } else {
            return Err(Failure::usage(format!("there is no file {}", path.display())));
        }
    }
    files.sort();
    files.dedup();
    Ok(files)
}

fn gather(dir: &Path, into: &mut Vec<PathBuf>) -> Result<(), Failure> {
    const AUDIO: [&str; 8] = ["wav", "flac", "ogg", "oga", "mp3", "m4a", "mp4", "aac"];
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        let (path, kind) = (entry.path(), entry.file_type()?);
        let extension = path.extension().and_then(|extension| extension.to_str()).map(str::to_lowercase);
        if kind.is_dir() {
            gather(&path, into)?;
        } else if extension.is_some_and(|extension| AUDIO.contains(&extension.as_str())) {
            into.push(path);
        }
    }
    Ok(())
}

/// The scores of a file, the highest first where only some are asked for.
fn best(prediction: &Prediction, top: Option<usize>) -> Vec<(String, f32)> {
    let mut scores = prediction.scores.clone();
    if let Some(top) = top {
        scores.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        scores.truncate(top);
    }
    scores
}

fn print(out: &mut Out, predictions: &[Prediction], args: &Predict) -> Result<(), Failure> {
    match args.format {
        PredictFormat::Json => {
            for prediction in predictions {
                let scores: Map<_, _> = best(prediction, args.top)
                    .into_iter()
                    .map(|(class, score)| (class, json!(score)))
                    .collect();
                out.json(&json!({ "path": prediction.path, "scores": scores }))?;
            }
            Ok(())
        }
        PredictFormat::Csv => csv(out, predictions, args.top),
        PredictFormat::Text => text(out, predictions, args.top),
    }
}

/// One line for each file and class.
fn csv(out: &mut Out, predictions: &[Prediction], top: Option<usize>) -> Result<(), Failure> {
    let failed = |error: csv::Error| Failure::failed(error.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["path", "class", "score"]).map_err(failed)?;
    for prediction in predictions {
        for (class, score) in best(prediction, top) {
            writer
                .write_record([&prediction.path.display().to_string(), &class, &score.to_string()])
                .map_err(failed)?;
        }
    }
    let bytes = writer.into_inner().map_err(|error| Failure::failed(error.to_string()))?;
    out.text(&String::from_utf8_lossy(&bytes))
}

/// One line for each file, its best classes beside it.
fn text(out: &mut Out, predictions: &[Prediction], top: Option<usize>) -> Result<(), Failure> {
    const SHOWN: usize = 3;
    let paint = Paint::stdout();
    let mut grid = Grid::new(&[Side::Left, Side::Left]);
    for prediction in predictions {
        let best = best(prediction, Some(top.unwrap_or(SHOWN)));
        let scores: Vec<String> = best.iter().map(|(class, score)| format!("{class} {score:.3}")).collect();
        grid.row([paint.cyan(prediction.path.display()), scores.join("  ")]);
    }
    grid.lines().iter().try_for_each(|line| out.line(line))
}
