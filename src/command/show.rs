//! `sndpipe show`.

use safetensors::SafeTensors;
use serde_json::json;
use sndpipe_cache::{Cell, Form, Manifest, Store};
use sndpipe_engine::{Graph, InstanceId, Kind};

use crate::args::{Format, Show};
use crate::command::explain::computed;
use crate::console;
use crate::exit::Exit;
use crate::export::{Export, Names};
use crate::failure::Failure;
use crate::human::{bytes, count, plural};
use crate::out::Out;
use crate::paint::Paint;
use crate::plain;
use crate::render::{self, Grid, Side};
use crate::results::{Found, Results, never_ran, warn_if_old};
use crate::session::{Place, Session, select};

/// How many skipped clips and remarks are listed.
const LISTED: usize = 10;

/// Shows artefacts, or writes them as plain files.
pub fn show(args: &Show, place: Place<'_>) -> Result<Exit, Failure> {
    let session = Session::open(&args.pipeline, place)?;
    let (ids, output) = chosen(&session.graph, &args.artefact)?;
    let results = Results::look(&session, &ids)?;
    let mut found = Vec::with_capacity(ids.len());
    for &id in &ids {
        let result = results.find(id).ok_or_else(|| never_ran(&session.graph, id))?;
        let manifest = result.artefact(&session.store, output).ok_or_else(|| {
            let message = format!(
                "the result of `{}` is recorded, but no longer in the cache",
                session.graph.instances[id]
            );
            Failure::failed(message).help("`sndpipe run FILE STAGE` computes it again")
        })?;
        warn_if_old(&session.graph, id, &result);
        found.push((id, result, manifest));
    }
    let mut out = Out::new();
    let names = args.export.as_ref().map(|_| export_names(&session.graph));
    for (index, (id, result, manifest)) in found.iter().enumerate() {
        let name = output_name(&session.graph, *id, output);
        if let (Some(dir), Some(names)) = (&args.export, &names) {
            let export = Export { store: &session.store, dir, form: args.form, overwrite: args.overwrite };
            for path in export.write(&names.of(&name), manifest)? {
                out.line(path.display().to_string())?;
            }
            continue;
        }
        if args.format == Format::Json {
            out.json(&page_json(&session, *id, output, result, manifest)?)?;
            continue;
        }
        if index > 0 {
            out.line("")?;
        }
        let mut page = Page { out: &mut out, paint: Paint::stdout(), store: &session.store, rows: args.rows };
        page.write(&name, result, manifest)?;
    }
    out.finish()?;
    if let Some(dir) = &args.export {
        console::line(&format!("exported {} to {}", plural(found.len() as u64, "artefact"), dir.display()));
    }
    Ok(Exit::Done)
}

/// The instances and the output that `model.history[fold=1]` or `model[fold=1].history` names.
pub fn chosen(graph: &Graph, reference: &str) -> Result<(Vec<InstanceId>, usize), Failure> {
    let (head, cell, tail) = match (reference.find('['), reference.rfind(']')) {
        (Some(open), Some(close)) if open < close => {
            (&reference[..open], &reference[open..=close], &reference[close + 1..])
        }
        _ => (reference, "", ""),
    };
    let known = |name: &str| graph.stages.iter().any(|(stage, _)| stage == name);
    let (stage, output) = match (head.rsplit_once('.'), tail.strip_prefix('.')) {
        (_, Some(output)) => (head, Some(output)),
        (Some((stage, output)), None) if !known(head) && tail.is_empty() => (stage, Some(output)),
        _ if tail.is_empty() => (head, None),
        _ => {
            return Err(Failure::usage(format!("`{reference}` is not of the form STAGE[axis=label].output")));
        }
    };
    let ids = select(graph, &format!("{stage}{cell}"))?;
    let outputs = ids.first().map_or(&[][..], |&id| graph.instances[id].bound.outputs());
    let index = match output {
        None => Some(0),
        Some(name) => outputs.iter().position(|output| output.name == name),
    };
    let index = index.ok_or_else(|| {
        let names: Vec<&str> = outputs.iter().map(|output| output.name.as_str()).collect();
        let message = format!("`{stage}` has no output `{}`", output.unwrap_or_default());
        Failure::usage(message).help(format!("its outputs are {}", names.join(", ")))
    })?;
    Ok((ids, index))
}

/// The file names of all outputs of a pipeline.
fn export_names(graph: &Graph) -> Names {
    let outputs = |id: InstanceId| 0..graph.instances[id].bound.outputs().len();
    let all = (0..graph.instances.len()).flat_map(|id| outputs(id).map(move |output| (id, output)));
    Names::new(all.map(|(id, output)| output_name(graph, id, output)))
}

/// `model[fold=1]`, `model[fold=1].history`.
fn output_name(graph: &Graph, id: InstanceId, output: usize) -> String {
    let instance = &graph.instances[id];
    match instance.bound.outputs().get(output) {
        Some(named) if output > 0 => format!("{instance}.{}", named.name),
        _ => instance.to_string(),
    }
}

fn page_json(
    session: &Session,
    id: InstanceId,
    output: usize,
    found: &Found,
    manifest: &Manifest,
) -> Result<serde_json::Value, Failure> {
    let instance = &session.graph.instances[id];
    let (mut skipped, mut remarks) = (Vec::new(), Vec::new());
    if manifest.skipped + manifest.remarked > 0 {
        let rows = session.store.open_rows(manifest)?;
        let named = |name: &str, texts: &[(String, String)]| -> Vec<_> {
            texts.iter().map(|(clip, text)| json!({ "clip_id": clip, name: text })).collect()
        };
        (skipped, remarks) = (named("reason", rows.skipped()), named("remark", rows.remarks()));
    }
    let files: Vec<_> = manifest
        .files()
        .map(|file| json!({ "path": session.store.file_path(file), "bytes": file.bytes }))
        .collect();
    Ok(json!({
        "stage": instance.stage,
        "axes": instance.axes_map(),
        "output": instance.bound.outputs().get(output).map(|output| output.name.as_str()),
        "current": found.current,
        "key": found.key,
        "artefact": manifest.id,
        "kind": manifest.kind,
        "rows": manifest.rows,
        "bytes": manifest.bytes(),
        "columns": manifest.columns,
        "meta": manifest.meta,
        "skipped": skipped,
        "remarks": remarks,
        "files": files,
        "provenance": found.record.provenance,
    }))
}

struct Page<'a> {
    out: &'a mut Out,
    paint: Paint,
    store: &'a Store,
    rows: usize,
}

impl Page<'_> {
    fn field(&mut self, name: &str, text: impl std::fmt::Display) -> Result<(), Failure> {
        self.out.line(format!("  {}  {text}", self.paint.dim(format!("{name:<9}"))))
    }

    fn write(&mut self, name: &str, found: &Found, manifest: &Manifest) -> Result<(), Failure> {
        self.out.line(format!("{}  {}", self.paint.bold(name), self.paint.cyan(&manifest.kind)))?;
        let files = manifest.files().count() as u64;
        let rows = match &manifest.form {
            Form::Blob { .. } => String::new(),
            _ => format!("{}, ", plural(manifest.rows, "row")),
        };
        self.field("size", format!("{rows}{} in {}", bytes(manifest.bytes()), plural(files, "file")))?;
        let columns: Vec<String> = manifest
            .columns
            .iter()
            .map(|column| format!("{}: {}", plain::name(&column.name), column.data_type))
            .collect();
        if !matches!(manifest.form, Form::Blob { .. }) {
            self.field("columns", columns.join(", "))?;
        }
        for (name, value) in &manifest.meta {
            self.field("metadata", plain::name(&format!("{name} = {}", shortened(&value.to_string(), 160))))?;
        }
        self.field("content", manifest.id)?;
        self.field("key", found.key)?;
        self.field("made by", format!("{} version {}", found.record.parts.kind, found.record.parts.version))?;
        self.field("computed", computed(&found.record.provenance).trim_start_matches("computed "))?;
        for (name, value) in &found.record.provenance.notes {
            self.field("note", format!("{name} = {value}"))?;
        }
        for (index, file) in manifest.files().take(4).enumerate() {
            let more =
                if index == 3 && files > 4 { format!(" and {} more", files - 4) } else { String::new() };
            self.field("file", format!("{}{more}", self.store.file_path(file).display()))?;
        }
        match &manifest.form {
            Form::Table { .. } => self.table(manifest),
            Form::Rows { .. } => self.clips(manifest),
            Form::Blob { .. } if manifest.kind == Kind::Model.name() => self.tensors(manifest),
            Form::Blob { .. } => Ok(()),
        }
    }

    fn table(&mut self, manifest: &Manifest) -> Result<(), Failure> {
        let batch = self.store.read_table(manifest, None)?;
        let lines = render::text(&batch, &manifest.meta, self.rows, self.paint);
        self.rows_below(lines, manifest.rows)
    }

    fn clips(&mut self, manifest: &Manifest) -> Result<(), Failure> {
        const VALUES: usize = 6;
        let rows = self.store.open_rows(manifest)?;
        for (name, texts) in [("skipped", rows.skipped()), ("remark", rows.remarks())] {
            for (clip, text) in texts.iter().take(LISTED) {
                self.field(name, plain::name(&format!("{clip}: {text}")))?;
            }
            if texts.len() > LISTED {
                self.field(name, format!("and {} more; `--format json` lists all", texts.len() - LISTED))?;
            }
        }
        let mut grid = Grid::new(&[Side::Left, Side::Right, Side::Right, Side::Left]);
        grid.row(["clip_id", "frames", "per frame", "values"].map(|title| self.paint.bold(title)));
        for (index, clip) in rows.ids().iter().enumerate().take(self.rows) {
            let row = rows.row(index)?;
            let values = row.to_f32();
            let first: Vec<String> =
                values.iter().take(VALUES).map(|value| Cell::Float(f64::from(*value)).rounded(4)).collect();
            let more = if values.len() > VALUES { ", …" } else { "" };
            let per_frame = values.len().checked_div(row.frames as usize).unwrap_or(0);
            grid.row([
                plain::name(clip).into_owned(),
                count(row.frames.into()),
                count(per_frame as u64),
                format!("{}{more}", first.join(", ")),
            ]);
        }
        self.rows_below(grid.lines(), manifest.rows)
    }

    fn tensors(&mut self, manifest: &Manifest) -> Result<(), Failure> {
        let blob = self.store.read_blob(manifest)?;
        let Ok((_, header)) = SafeTensors::read_metadata(&blob) else {
            return self.field("tensors", "the file is not in the safetensors format");
        };
        for (name, value) in header.metadata().iter().flatten() {
            self.field("header", plain::name(&format!("{name} = {}", shortened(value, 400))))?;
        }
        let mut grid = Grid::new(&[Side::Left, Side::Left, Side::Right]);
        grid.row(["tensor", "shape", "numbers"].map(|title| self.paint.bold(title)));
        let mut total = 0;
        for name in header.offset_keys() {
            let Some(info) = header.info(&name) else { continue };
            let numbers: usize = info.shape.iter().product();
            total += numbers;
            grid.row([
                plain::name(&name).into_owned(),
                format!("{:?} {:?}", info.dtype, info.shape),
                count(numbers as u64),
            ]);
        }
        grid.row([String::new(), String::new(), count(total as u64)]);
        let lines = grid.lines();
        self.rows_below(lines, 0)
    }

    fn rows_below(&mut self, lines: Vec<String>, total: u64) -> Result<(), Failure> {
        self.out.line("")?;
        lines.iter().try_for_each(|line| self.out.line(format!("  {line}")))?;
        let more = total.saturating_sub(self.rows as u64);
        if more > 0 {
            self.out.line(format!(
                "  {}",
                self.paint.dim(format!("and {} more row{}", count(more), if more == 1 { "" } else { "s" }))
            ))?;
        }
        Ok(())
    }
}

/// At most so many characters.
fn shortened(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
