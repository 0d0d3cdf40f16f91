//! The commands, one file each.

mod cache;
mod completions;
mod diff;
mod explain;
mod gc;
mod graph;
mod init;
mod logs;
mod pin;
mod plan;
mod predict;
mod rerun;
mod run;
mod runs;
mod schema;
mod show;
mod stages;
mod table;

use sndpipe_cache::{CacheError, Store};
use sndpipe_engine::Registry;

use crate::args::{Cli, Command};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::results::warn;
use crate::session::Place;

/// Carries out a command. A damaged result that it has come upon is dropped, so that the next run computes it anew.
pub fn dispatch(cli: Cli, registry: &Registry) -> Result<Exit, Failure> {
    let cache = cli.cache.clone();
    let done = carry_out(cli, registry);
    if let Err(Failure::Cache(CacheError::Damaged { artefact, .. })) = &done
        && let Ok(store) = Store::open(&cache)
        && store.is_writable()
        && let Some(manifest) = store.manifest(artefact)
    {
        store.drop_artefact(&manifest);
        warn("a damaged result was dropped from the cache; `sndpipe run` computes it anew");
    }
    done
}

fn carry_out(cli: Cli, registry: &Registry) -> Result<Exit, Failure> {
    let cache = &cli.cache;
    let place = Place { registry, cache };
    match cli.command {
        Command::Run(args) => run::run(args, place),
        Command::Plan(args) => plan::plan(&args, place),
        Command::Explain(args) => explain::explain(&args, place),
        Command::Graph(args) => graph::graph(&args, registry),
        Command::Show(args) => show::show(&args, place),
        Command::Table(args) => table::table(&args, place),
        Command::Logs(args) => logs::logs(&args, place),
        Command::Runs(args) => runs::runs(&args, cache),
        Command::Diff(args) => diff::diff(&args, cache),
        Command::Stages(args) => stages::stages(&args, registry),
        Command::Schema => schema::schema(registry),
        Command::Predict(args) => predict::predict(&args, place),
        Command::Cache { command } => cache::cache(&command, place),
        Command::Init(args) => init::init(&args),
        Command::Completions(args) => completions::completions(&args),
    }
}
