//! `sndpipe stages`.

use serde_json::{Map, Value, json};
use sndpipe_engine::{BoundStage, Registry, StageKind, did_you_mean};

use crate::args::{Format, Stages};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::out::Out;
use crate::paint::Paint;
use crate::render::{Grid, ParamDoc, Side, params_of};

/// Lists the stage kinds, or describes one.
pub fn stages(args: &Stages, registry: &Registry) -> Result<Exit, Failure> {
    let mut out = Out::new();
    match &args.name {
        Some(name) => {
            let kind = registry.get(name).ok_or_else(|| unknown(registry, name))?;
            match args.format {
                Format::Json => out.json(&describe(&**kind))?,
                Format::Text => one(&mut out, &**kind)?,
            }
        }
        None => match args.format {
            Format::Json => registry.iter().try_for_each(|kind| out.json(&describe(&**kind)))?,
            Format::Text => list(&mut out, registry)?,
        },
    }
    out.finish()?;
    Ok(Exit::Done)
}

fn unknown(registry: &Registry, name: &str) -> Failure {
    let names: Vec<&str> = registry.iter().map(|kind| kind.name()).collect();
    let hint = did_you_mean(name, names.iter().copied());
    Failure::usage(format!("there is no stage kind `{name}`{hint}")).help("`sndpipe stages` lists them")
}

fn schema(kind: &dyn StageKind) -> Value {
    kind.schema().clone()
}

fn docs(schema: &Value) -> &str {
    schema.get("description").and_then(Value::as_str).unwrap_or_default()
}

fn list(out: &mut Out, registry: &Registry) -> Result<(), Failure> {
    let paint = Paint::stdout();
    let mut grid = Grid::new(&[Side::Left, Side::Left]);
    for kind in registry.iter() {
        let schema = schema(&**kind);
        grid.row([paint.cyan(kind.name()), docs(&schema).lines().next().unwrap_or_default().to_owned()]);
    }
    grid.lines().iter().try_for_each(|line| out.line(line))
}

fn describe(kind: &dyn StageKind) -> Value {
    let schema = schema(kind);
    let bound = minimal(kind, &schema);
    let ports = |bound: &dyn BoundStage| {
        let inputs: Vec<Value> = bound
            .inputs()
            .iter()
            .map(|port| {
                json!({ "name": port.name, "accepts": port.accepts, "optional": port.optional, "collects": port.collects, "reads": port.reads })
            })
            .collect();
        let outputs: Vec<Value> = bound
            .outputs()
            .iter()
            .map(|output| json!({ "name": output.name, "kind": output.kind }))
            .collect();
        (inputs, outputs)
    };
    let (inputs, outputs) = bound.as_deref().map(ports).unzip();
    json!({
        "name": kind.name(),
        "version": kind.version(),
        "source": kind.source(),
        "description": docs(&schema),
        "inputs": inputs,
        "outputs": outputs,
        "parameters": schema,
    })
}

fn one(out: &mut Out, kind: &dyn StageKind) -> Result<(), Failure> {
    let paint = Paint::stdout();
    let schema = schema(kind);
    out.line(format!("{}  {}", paint.bold(kind.name()), paint.dim(format!("version {}", kind.version()))))?;
    if !docs(&schema).is_empty() {
        out.line("")?;
        docs(&schema).lines().try_for_each(|line| out.line(line))?;
    }
    let params = params_of(&schema);
    out.line("")?;
    out.line(paint.bold("Parameters"))?;
    if params.is_empty() {
        out.line("  none")?;
    }
    for param in &params {
        parameter(out, paint, param)?;
    }
    if let Some(bound) = minimal(kind, &schema) {
        ports(out, paint, &*bound)?;
    } else {
        out.line("")?;
        out.line("Inputs and outputs depend on the parameters.")?;
    }
    if !kind.source().is_empty() {
        out.line("")?;
        out.line(paint.bold("Source"))?;
        out.line(format!("  {}", kind.source()))?;
    }
    Ok(())
}

fn parameter(out: &mut Out, paint: Paint, param: &ParamDoc) -> Result<(), Failure> {
    let indent = "  ".repeat(param.depth + 1);
    let default = match &param.default {
        _ if param.required => ", required".to_owned(),
        Some(default) => format!(", default {default}"),
        None => ", optional".to_owned(),
    };
    out.line(format!("{indent}{}: {}{}", paint.cyan(&param.name), param.kind, paint.dim(default)))?;
    param
        .docs
        .lines()
        .filter(|line| !line.is_empty())
        .try_for_each(|line| out.line(format!("{indent}    {line}")))
}

fn ports(out: &mut Out, paint: Paint, bound: &dyn BoundStage) -> Result<(), Failure> {
    out.line("")?;
    out.line(format!("{} {}", paint.bold("Inputs"), paint.dim("(with default parameters)")))?;
    let mut grid = Grid::new(&[Side::Left, Side::Left]).indent(2);
    for port in bound.inputs() {
        let accepts: Vec<&str> = port.accepts.iter().map(|kind| kind.name()).collect();
        let mut text = accepts.join(" or ");
        if port.optional {
            text.push_str(", optional");
        }
        if port.collects {
            text.push_str(", gathers cells (`collect:`)");
        }
        if let Some(reads) = &port.reads {
            text.push_str(&format!(", reads {}", reads.join(", ")));
        }
        grid.row([paint.cyan(&port.name), text]);
    }
    if bound.inputs().is_empty() {
        grid.row(["none", ""]);
    }
    grid.lines().iter().try_for_each(|line| out.line(line))?;
    out.line("")?;
    out.line(paint.bold("Outputs"))?;
    let mut grid = Grid::new(&[Side::Left, Side::Left]).indent(2);
    for output in bound.outputs() {
        grid.row([paint.cyan(&output.name), output.kind.name().to_owned()]);
    }
    grid.lines().iter().try_for_each(|line| out.line(line))
}

/// The kind with its defaults and something plausible where a value is required.
fn minimal(kind: &dyn StageKind, schema: &Value) -> Option<std::sync::Arc<dyn BoundStage>> {
    let mut with = Map::new();
    if let Ok(bound) = kind.bind(&Value::Object(with.clone())) {
        return Some(bound);
    }
    for param in params_of(schema).into_iter().filter(|param| param.required && param.depth == 0) {
        with.insert(param.name, param.example?);
    }
    kind.bind(&Value::Object(with)).ok()
}
