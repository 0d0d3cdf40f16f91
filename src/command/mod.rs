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

use crate::args::{Cli, Command};
use crate::exit::Exit;
use crate::failure::Failure;

/// Carries out a command.
pub fn dispatch(cli: Cli) -> Result<Exit, Failure> {
    let cache = &cli.cache;
    match cli.command {
        Command::Run(args) => run::run(args, cache),
        Command::Plan(args) => plan::plan(&args, cache),
        Command::Explain(args) => explain::explain(&args, cache),
        Command::Graph(args) => graph::graph(&args),
        Command::Show(args) => show::show(&args, cache),
        Command::Table(args) => table::table(&args, cache),
        Command::Logs(args) => logs::logs(&args, cache),
        Command::Runs(args) => runs::runs(&args, cache),
        Command::Diff(args) => diff::diff(&args, cache),
        Command::Stages(args) => stages::stages(&args),
        Command::Schema => schema::schema(),
        Command::Predict(args) => predict::predict(&args, cache),
        Command::Cache { command } => cache::cache(&command, cache),
        Command::Init(args) => init::init(&args),
        Command::Completions(args) => completions::completions(&args),
    }
}
