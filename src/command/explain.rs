//! `sndpipe explain`.

use serde_json::json;
use sndpipe_engine::{Graph, History, KeyParts, PlanItem, PlanStatus, Provenance, Record};

use crate::args::{self, Format};
use crate::command::plan::word;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::human::{plural, seconds, short, time};
use crate::out::Out;
use crate::paint::Paint;
use crate::session::{Place, Session};

/// So many cells of a repeated stage are explained.
const SHOWN: usize = 20;

/// Says why a stage would run.
pub fn explain(args: &args::Explain, place: Place<'_>) -> Result<Exit, Failure> {
    let session = Session::open(&args.pipeline, place)?;
    let targets = session.select(std::slice::from_ref(&args.stage))?;
    let sources = session.scan(&targets)?;
    let plan = session.plan(&sources, &targets, &[])?;
    let history = History::read(&session.store, &session.graph);
    let mut out = Out::new();
    let mut pages = 0;
    for item in targets.iter().filter_map(|&id| plan.item(id)) {
        let name = session.graph.instances[item.id].to_string();
        let record = item.key.and_then(|key| Record::read(&session.store, &key));
        let last = history.key(&name).copied().filter(|last| Some(*last) != item.key);
        if args.format == Format::Json {
            let instance = &session.graph.instances[item.id];
            out.json(&json!({
                "event": "stage",
                "stage": instance.stage,
                "axes": instance.axes_map(),
                "status": item.status.name(),
                "key": item.key,
                "last_key": last,
                "reason": item.reasons.join("; "),
                "reasons": item.reasons,
                "parts": item.parts,
                "provenance": record.as_ref().map(|record| &record.provenance),
            }))?;
            continue;
        }
        if pages == SHOWN {
            let rest = (targets.len() - pages) as u64;
            let help = "name one, as in `model[fold=1]`, or ask for `--format json`";
            out.line(format!("\nand {}; {help}", plural(rest, "more cell")))?;
            break;
        }
        if pages > 0 {
            out.line("")?;
        }
        pages += 1;
        let page = Page { out: &mut out, paint: Paint::stdout(), graph: &session.graph };
        page.write(item, &name, record.as_ref(), last.map(short))?;
    }
    out.finish()?;
    Ok(Exit::Done)
}

struct Page<'a> {
    out: &'a mut Out,
    paint: Paint,
    graph: &'a Graph,
}

impl Page<'_> {
    fn write(
        self,
        item: &PlanItem,
        name: &str,
        record: Option<&Record>,
        last: Option<String>,
    ) -> Result<(), Failure> {
        let Self { out, paint, graph } = self;
        out.line(format!("{}  {}", paint.bold(name), word(item.status)))?;
        match item.status {
            PlanStatus::Cached => {}
            PlanStatus::WouldRun => {
                for reason in &item.reasons {
                    out.line(format!("  {}", paint.yellow(reason)))?;
                }
            }
            PlanStatus::Maybe => {
                out.line("  an input is not known yet; if its content stays the same this stage is not run")?;
                out.line("  what reaches it:")?;
                for reason in &item.reasons {
                    out.line(format!("    {}", paint.yellow(reason)))?;
                }
            }
        }
        if let Some(record) = record.filter(|_| item.status == PlanStatus::Cached) {
            out.line(format!("  {}", computed(&record.provenance)))?;
        }
        if let Some(key) = item.key {
            let was = last.map(|last| format!("  (last: {last})")).unwrap_or_default();
            out.line(format!("  key        {}{}", short(key), paint.dim(was)))?;
        } else if let Some(last) = last {
            out.line(format!("  last key   {last}"))?;
        }
        if let Some(parts) = &item.parts {
            write_parts(out, parts)?;
        }
        for input in &graph.instances[item.id].inputs {
            if item.parts.is_some() {
                break;
            }
            let from: Vec<String> =
                input.items.iter().take(4).map(|item| graph.instances[item.from].to_string()).collect();
            let more = input.items.len().saturating_sub(from.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            out.line(format!("  input      {} from {}{more}", input.port, from.join(", ")))?;
        }
        Ok(())
    }
}

/// When, where and how long.
pub fn computed(provenance: &Provenance) -> String {
    let Provenance { finished_ms, seconds: took, version, host, device, threads, .. } = provenance;
    format!(
        "computed {} in {} on {host} ({device}, {}) by sndpipe {version}",
        time(*finished_ms),
        seconds(*took),
        plural(*threads as u64, "thread"),
    )
}

fn write_parts(out: &mut Out, parts: &KeyParts) -> Result<(), Failure> {
    const SHOWN: usize = 6;
    out.line(format!("  stage      {} version {}", parts.kind, parts.version))?;
    for (name, value) in &parts.params {
        // What is left out has no say.
        if value != "null" {
            out.line(format!("  parameter  {name} = {value}"))?;
        }
    }
    for port in &parts.inputs {
        if port.items.is_empty() {
            out.line(format!("  input      {}: not connected", port.port))?;
        }
        for item in port.items.iter().take(SHOWN) {
            let cell: Vec<String> = item.axes.iter().map(|(axis, label)| format!("{axis}={label}")).collect();
            let cell = if cell.is_empty() { String::new() } else { format!("[{}]", cell.join(",")) };
            let columns: Vec<String> =
                item.columns.iter().map(|(name, id)| format!("{name} {}", &id.to_string()[..8])).collect();
            let meta = &item.meta.to_string()[..8];
            out.line(format!(
                "  input      {}{cell}: {}, metadata {meta}, {}",
                port.port,
                item.kind,
                columns.join(", ")
            ))?;
        }
        let more = port.items.len().saturating_sub(SHOWN);
        if more > 0 {
            out.line(format!("  input      {}: and {}", port.port, plural(more as u64, "more cell")))?;
        }
    }
    if let Some(sources) = &parts.sources {
        out.line(format!("  files      {}, {}", plural(sources.files, "file"), short(sources.digest)))?;
    }
    Ok(())
}
