//! `sndpipe table`.

use arrow_array::RecordBatch;
use sndpipe_cache::Meta;
use sndpipe_engine::{FormKind, Graph, InstanceId};

use crate::args::{Table, TableFormat};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::Out;
use crate::paint::Paint;
use crate::render;
use crate::results::{Results, never_ran, warn_if_old};
use crate::session::{Place, Session, select};

/// The stage kinds whose tables are printed when none is named.
pub const KINDS: [&str; 2] = ["table", "claims"];

/// Prints result tables.
pub fn table(args: &Table, place: Place<'_>) -> Result<Exit, Failure> {
    let session = Session::open(&args.pipeline, place)?;
    let ids = chosen(&session.graph, args.stage.as_deref())?;
    let results = Results::look(&session, &ids)?;
    let mut found = Vec::with_capacity(ids.len());
    for &id in &ids {
        let result = results.find(id).ok_or_else(|| never_ran(&session.graph, id))?;
        let manifest = result.artefact(&session.store, 0).ok_or_else(|| never_ran(&session.graph, id))?;
        warn_if_old(&session.graph, id, &result);
        found.push((id, manifest));
    }
    let mut out = Out::new();
    for (id, manifest) in &found {
        let batch = session.store.read_table(manifest, None)?;
        let title = session.graph.instances[*id].to_string();
        let title = (found.len() > 1).then_some(title.as_str());
        print(&mut out, title, &batch, &manifest.meta, args.format)?;
    }
    out.finish()?;
    Ok(Exit::Done)
}

fn chosen(graph: &Graph, stage: Option<&str>) -> Result<Vec<InstanceId>, Failure> {
    let Some(stage) = stage else {
        let ids: Vec<InstanceId> = (0..graph.instances.len())
            .filter(|&id| KINDS.contains(&graph.instances[id].bound.name()))
            .collect();
        let help = "name a stage whose output is a table, or add one with `uses: table`";
        return if ids.is_empty() {
            Err(Failure::usage("the pipeline has no `table` stage").help(help))
        } else {
            Ok(ids)
        };
    };
    let ids = select(graph, stage)?;
    let kind =
        ids.first().and_then(|&id| graph.instances[id].bound.outputs().first()).map(|output| output.kind);
    match kind {
        Some(kind) if kind.form() == FormKind::Table => Ok(ids),
        Some(kind) => Err(Failure::usage(format!("`{stage}` gives {kind}, not a table"))
            .help("`sndpipe show` looks into it")),
        None => Err(Failure::usage(format!("`{stage}` has no output"))),
    }
}

/// Prints a table as aligned text.
pub fn print_text(
    out: &mut Out,
    title: Option<&str>,
    batch: &RecordBatch,
    meta: &Meta,
) -> Result<(), Failure> {
    print(out, title, batch, meta, TableFormat::Text)
}

fn print(
    out: &mut Out,
    title: Option<&str>,
    batch: &RecordBatch,
    meta: &Meta,
    format: TableFormat,
) -> Result<(), Failure> {
    let paint = Paint::stdout();
    let lines = match format {
        TableFormat::Text => render::text(batch, meta, usize::MAX, paint),
        TableFormat::Markdown => render::markdown(batch, meta),
        TableFormat::Latex => render::latex(batch, meta),
        TableFormat::Csv => return out.text(&render::csv(batch)?),
        TableFormat::Json => {
            for row in render::json_lines(batch) {
                out.json(&row)?;
            }
            return Ok(());
        }
    };
    let heading = title.map(|title| match format {
        TableFormat::Markdown => format!("**{title}**\n"),
        TableFormat::Latex => format!("% {title}"),
        _ => paint.cyan(title),
    });
    for line in heading.iter().chain(&lines) {
        out.text(line)?;
        out.text("\n")?;
    }
    if title.is_some() { out.text("\n") } else { Ok(()) }
}
