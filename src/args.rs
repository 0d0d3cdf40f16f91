//! The arguments of every command.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sndpipe_engine::{Device, parse_bytes, parse_duration};
use tracing::level_filters::LevelFilter;

use crate::exit;

/// Experiments on sound events as one YAML file: computes exactly what is missing and nothing else.
#[derive(Debug, Parser)]
#[command(name = "sndpipe", version, max_term_width = 100, after_help = TOP_HELP, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Folder of the cache.
    #[arg(
        long,
        global = true,
        env = "SNDPIPE_CACHE",
        value_name = "DIR",
        default_value = ".sndpipe",
        hide_env_values = true
    )]
    pub cache: PathBuf,
    /// How much the program says about itself on standard error: off, error, warn, info, debug, trace.
    #[arg(long, global = true, value_name = "LEVEL", default_value = "warn", hide_default_value = true, value_parser = level)]
    pub log: LevelFilter,
    /// Add what `--log` shows, with times, to this file instead.
    #[arg(long, global = true, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
}

const TOP_HELP: &str = exit::HELP;

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Execute what is missing
    #[command(after_help = "\
Examples:
  sndpipe run pipelines/quickstart.yaml
  sndpipe run esc50.yaml table --set seed=3            only what `table` needs, with another seed
  sndpipe run esc50.yaml 'model[fold=1]' --jobs 4
  sndpipe run esc50.yaml --force model --device cuda:0
  sndpipe run esc50.yaml --memory 12GB --trace run.json
  sndpipe run esc50.yaml --format json | jq .reason")]
    Run(Run),
    /// Say what `run` would do, and why
    #[command(after_help = "\
A stage is `cached`, `would run`, or `may run`: an input is not known yet, and the same content as before saves it.

Examples:
  sndpipe plan esc50.yaml
  sndpipe plan esc50.yaml --set bands=96
  sndpipe plan esc50.yaml --check                      ends with 4 if anything would run")]
    Plan(Plan),
    /// Say why a stage would run: which parameter, input, code version or file changed
    #[command(after_help = "\
Examples:
  sndpipe explain esc50.yaml mel
  sndpipe explain esc50.yaml 'model[fold=1,loss=lq]'")]
    Explain(Explain),
    /// Show the stages and what they read
    #[command(after_help = "\
Examples:
  sndpipe graph esc50.yaml
  sndpipe graph esc50.yaml --format mermaid            for a Markdown page
  sndpipe graph esc50.yaml --format dot --cells | dot -Tsvg > esc50.svg")]
    Graph(Graph),
    /// Show an artefact: schema, rows, sizes, where it came from, first rows
    #[command(after_help = "\
Examples:
  sndpipe show esc50.yaml clips
  sndpipe show esc50.yaml 'model[fold=1].history'
  sndpipe show esc50.yaml mel --export out --as npy
  sndpipe show esc50.yaml 'model[fold=1]' --export out")]
    Show(Show),
    /// Print result tables
    #[command(after_help = "\
Examples:
  sndpipe table esc50.yaml
  sndpipe table esc50.yaml table --format latex > table.tex")]
    Table(Table),
    /// Print what a stage said when it ran
    #[command(after_help = "\
Examples:
  sndpipe logs esc50.yaml audio
  sndpipe logs esc50.yaml 'model[fold=1]'")]
    Logs(Logs),
    /// List past runs, or show one
    #[command(after_help = "\
Examples:
  sndpipe runs
  sndpipe runs show last
  sndpipe runs show 20261121-2147 --format json
  sndpipe runs --limit 100 --format json")]
    Runs(Runs),
    /// Compare two runs: parameters, code versions, inputs, metrics
    #[command(after_help = "\
Examples:
  sndpipe diff last~1 last
  sndpipe diff 20261121-2147 20261122-0903 --format json")]
    Diff(Diff),
    /// List the stage kinds, or describe one
    #[command(after_help = "\
Examples:
  sndpipe stages
  sndpipe stages spectrogram")]
    Stages(Stages),
    /// Print the JSON schema of pipeline files, for editors
    #[command(after_help = "\
Examples:
  sndpipe schema > sndpipe.schema.json
  # and as the first line of a pipeline file:
  # yaml-language-server: $schema=sndpipe.schema.json")]
    Schema,
    /// Apply a trained model to audio files
    #[command(after_help = "\
Examples:
  sndpipe predict 'esc50.yaml:model[fold=1,loss=lq]' recordings/*.wav
  sndpipe predict out/model.safetensors recordings --top 3
  sndpipe predict out/model.safetensors a.wav --format csv > scores.csv")]
    Predict(Predict),
    /// Look at the cache, and free what nothing needs
    #[command(after_help = "\
Examples:
  sndpipe cache stats
  sndpipe cache verify
  sndpipe cache gc --keep-runs 10 --dry-run")]
    Cache {
        /// What to do with it.
        #[command(subcommand)]
        command: Cache,
    },
    /// Write a starter pipeline that runs at once
    #[command(after_help = "\
Examples:
  sndpipe init
  sndpipe init experiments/first && sndpipe run experiments/first/pipeline.yaml")]
    Init(Init),
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  sndpipe completions bash > ~/.local/share/bash-completion/completions/sndpipe
  sndpipe completions fish > ~/.config/fish/completions/sndpipe.fish")]
    Completions(Completions),
}

/// A pipeline file with its overrides.
#[derive(Debug, Args)]
pub struct Pipeline {
    /// The pipeline file.
    pub file: PathBuf,
    /// Another value for an entry of `params:`; may be repeated. A number, `true`, `false`, `null`, a quoted string, and a list or map
    /// in brackets are what they are in YAML; any other VALUE is a string as it stands, with every `#`, `: ` and blank.
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment)]
    pub set: Vec<(String, String)>,
}

/// Text for people or JSON for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub pipeline: Pipeline,
    /// Stages, or single cells such as `model[fold=1]`, to bring up to date with all they need [default: all].
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    /// CPU slots: stages that run at once, and threads of a stage [default: all cores].
    #[arg(long, short, value_name = "N", value_parser = jobs)]
    pub jobs: Option<usize>,
    /// What stages that run side by side may hold together, such as `12GB`; a stage that holds more is refused [default: nine
    /// tenths of the memory of the machine].
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub memory: Option<u64>,
    /// Where training and scoring run: `cpu`, `cuda:N` or `cuda:N:tf32`.
    #[arg(long, default_value = "cpu")]
    pub device: Device,
    /// After a failure, run what does not need the failed stage (this is the default).
    #[arg(long, overrides_with = "fail_fast")]
    pub keep_going: bool,
    /// Stop at the first failure.
    #[arg(long, overrides_with = "keep_going")]
    pub fail_fast: bool,
    /// Only say what would run.
    #[arg(long)]
    pub dry_run: bool,
    /// Run this stage even if its result is there; may be repeated.
    #[arg(long, value_name = "STAGE")]
    pub force: Vec<String>,
    /// Hash every source file anew, whatever is remembered of it.
    #[arg(long)]
    pub rehash: bool,
    /// Write a Chrome trace of the run, which Perfetto (ui.perfetto.dev) and chrome://tracing show.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    pub pipeline: Pipeline,
    /// Stages, or single cells such as `model[fold=1]` [default: all].
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
    /// End with 4 if anything would run.
    #[arg(long)]
    pub check: bool,
    /// List every cell, and what is cached too.
    #[arg(long)]
    pub all: bool,
    /// Hash every source file anew, whatever is remembered of it.
    #[arg(long)]
    pub rehash: bool,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    pub pipeline: Pipeline,
    /// A stage, or a single cell such as `model[fold=1]`.
    pub stage: String,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `graph`.
#[derive(Debug, Args)]
pub struct Graph {
    #[command(flatten)]
    pub pipeline: Pipeline,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub format: GraphFormat,
    /// Show every cell of a repeated stage on its own.
    #[arg(long)]
    pub cells: bool,
}

/// How a graph is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum GraphFormat {
    /// One line a stage.
    #[default]
    Text,
    /// For Graphviz.
    Dot,
    /// For Markdown.
    Mermaid,
}

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct Show {
    #[command(flatten)]
    pub pipeline: Pipeline,
    /// An output: `mel`, `model[fold=1]`, `model.history`.
    #[arg(value_name = "STAGE")]
    pub artefact: String,
    /// How many rows to print.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub rows: usize,
    /// Write plain files, named after the stage and its cell, into a folder.
    #[arg(long, value_name = "DIR")]
    pub export: Option<PathBuf>,
    /// The form of exported files [default: Parquet for tables, Arrow IPC for rows, the bytes for models and files].
    #[arg(long = "as", value_enum, value_name = "FORM", requires = "export")]
    pub form: Option<ExportForm>,
    /// Replace files that exist.
    #[arg(long, requires = "export")]
    pub overwrite: bool,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// The form of an exported file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportForm {
    /// Parquet, for tables.
    Parquet,
    /// Comma-separated values, for tables.
    Csv,
    /// Arrow IPC file, for rows.
    Arrow,
    /// NumPy array, for rows; one file for each clip where they differ in length.
    Npy,
    /// One wav file for each clip, for audio.
    Wav,
}

/// Arguments of `table`.
#[derive(Debug, Args)]
pub struct Table {
    #[command(flatten)]
    pub pipeline: Pipeline,
    /// A stage whose output is a table [default: every `table` stage].
    pub stage: Option<String>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t)]
    pub format: TableFormat,
}

/// How a table is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum TableFormat {
    /// Aligned columns.
    #[default]
    Text,
    /// For Markdown.
    Markdown,
    /// A `tabular`.
    Latex,
    /// Comma-separated values, unrounded.
    Csv,
    /// One JSON object a row, unrounded.
    Json,
}

/// Arguments of `logs`.
#[derive(Debug, Args)]
pub struct Logs {
    #[command(flatten)]
    pub pipeline: Pipeline,
    /// A stage, or a single cell such as `model[fold=1]`.
    pub stage: String,
    /// Every byte as it was logged, with the control sequences that colour text and draw progress bars.
    #[arg(long)]
    pub raw: bool,
}

/// Arguments of `runs`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Runs {
    /// What to do with them [default: list them].
    #[command(subcommand)]
    pub command: Option<RunsCommand>,
    /// How many runs to list.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// What to do with past runs.
#[derive(Debug, Subcommand)]
pub enum RunsCommand {
    /// Show one: each stage with its time, CPU, memory, bytes and rows, and why it failed
    #[command(after_help = "\
CPU time is that of the process, in equal shares where stages ran side by side, and that of the
stage's own programs. Memory is the most that the process was seen to hold while the stage ran, or
one of its programs if that was more.

Examples:
  sndpipe runs show last
  sndpipe runs show 20261121-2147 --format json")]
    Show {
        /// A run by its id or the first characters of it, `last`, or `last~N` for the Nth before it.
        #[arg(value_name = "RUN")]
        id: String,
        /// What to print.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// A run by its id or the first characters of it, `last`, or `last~N` for the Nth before it.
    #[arg(value_name = "RUN")]
    pub old: String,
    /// The run to compare it with.
    #[arg(value_name = "RUN")]
    pub new: String,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `stages`.
#[derive(Debug, Args)]
pub struct Stages {
    /// A stage kind, as written behind `uses:`.
    pub name: Option<String>,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `predict`.
#[derive(Debug, Args)]
pub struct Predict {
    /// An exported model, or `FILE:STAGE` for one in the cache.
    pub model: String,
    /// Audio files, or folders of them.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Print only the best classes of each file.
    #[arg(long, value_name = "N")]
    pub top: Option<usize>,
    /// How to print the scores.
    #[arg(long, value_enum, default_value_t)]
    pub format: PredictFormat,
}

/// How predictions are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum PredictFormat {
    /// Aligned columns.
    #[default]
    Text,
    /// Comma-separated values.
    Csv,
    /// One JSON object for each file.
    Json,
}

/// What to do with the cache.
#[derive(Debug, Subcommand)]
pub enum Cache {
    /// Count artefacts, rows and bytes
    #[command(after_help = "Examples:\n  sndpipe cache stats\n  sndpipe cache stats --format json")]
    Stats {
        /// What to print.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Read everything and compare it with its checksum, or run a stage again and compare what it gives
    #[command(after_help = "\
With `--rerun` a cached stage runs once more beside the cache, in a folder below TMPDIR, and its
outputs are compared with what is cached. The first place that differs is named: the stage is not
deterministic, or a result went bad unseen. Nothing in the cache changes. Ends with 1 on a difference.

Examples:
  sndpipe cache verify
  sndpipe cache verify --repair
  sndpipe cache verify --rerun esc50.yaml mel
  sndpipe cache verify --rerun esc50.yaml 'model[fold=1]' --set seed=3")]
    Verify(Verify),
    /// Free what nothing needs, also while pipelines run
    #[command(after_help = "\
What a FILE, a recent run or a pin needs stays, and what a running process uses. Without
options only what nothing refers to goes: parts of results that were never finished, and
temporary files and locks of processes that are gone.

Examples:
  sndpipe cache gc esc50.yaml esc10.yaml --dry-run     keep what these two need, nothing else
  sndpipe cache gc --keep-runs 10 --older-than 30d     keep the last ten runs, and thirty days
  sndpipe cache gc --max-size 200GB                    drop what was not used for longest")]
    Gc(Gc),
    /// Keep results until they are unpinned, whatever becomes of the pipeline file
    #[command(after_help = "\
Examples:
  sndpipe cache pin paper esc50.yaml model table
  sndpipe cache stats                                  lists the pins
  sndpipe cache unpin paper")]
    Pin(Pin),
    /// Let pinned results go with the next collection that nothing else keeps them from
    #[command(after_help = "Examples:\n  sndpipe cache unpin paper")]
    Unpin {
        /// The name of the pin.
        name: String,
    },
}

/// Arguments of `cache gc`.
#[derive(Debug, Args)]
pub struct Gc {
    /// Pipeline files: what a run of them would find, and the last results of stages that it would run, stay. Without further
    /// options everything else goes.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Another value for an entry of `params:` of every FILE, as in `run`; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment, requires = "files")]
    pub set: Vec<(String, String)>,
    /// Keep what the last N runs, of any pipeline, used or wrote.
    #[arg(long, value_name = "N", value_parser = runs)]
    pub keep_runs: Option<usize>,
    /// Keep what was used or written within this time: `30d`, `12h`, `90min`.
    #[arg(long, value_name = "AGE", value_parser = parse_duration)]
    pub older_than: Option<Duration>,
    /// Then drop files of results, least recently used first, until the cache has this size: `200GB`, `1.5TiB`.
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    pub max_size: Option<u64>,
    /// Only say what would go; a run of the same command right after frees exactly this.
    #[arg(long)]
    pub dry_run: bool,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `cache pin`.
#[derive(Debug, Args)]
pub struct Pin {
    /// The name of the pin: letters, digits and any of `-_.=,+@`. One of that name is replaced.
    pub name: String,
    #[command(flatten)]
    pub pipeline: Pipeline,
    /// Stages, or single cells such as `model[fold=1]`; what they were made from is not kept for them [default: all].
    #[arg(value_name = "STAGE")]
    pub stages: Vec<String>,
}

/// Arguments of `cache verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Remove what is damaged, so that the next run that needs it computes it anew.
    #[arg(long, conflicts_with = "rerun")]
    pub repair: bool,
    /// Run this stage again and compare; with a repeated stage every cell of it.
    #[arg(long, num_args = 2, value_names = ["FILE", "STAGE"])]
    pub rerun: Option<Vec<String>>,
    /// Another value for an entry of `params:`, as in `run`; may be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = assignment, requires = "rerun")]
    pub set: Vec<(String, String)>,
    /// Where training and scoring run: `cpu`, `cuda:N` or `cuda:N:tf32`.
    #[arg(long, default_value = "cpu", requires = "rerun")]
    pub device: Device,
    /// What to print.
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Where to put `pipeline.yaml`.
    #[arg(default_value = ".", value_name = "DIR")]
    pub dir: PathBuf,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it must be of the form NAME=VALUE")?;
    let name = name.trim();
    if name.is_empty() {
        return Err("the name before `=` is empty".to_owned());
    }
    Ok((name.to_owned(), value.to_owned()))
}

fn jobs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least one job is needed".to_owned()),
        Ok(jobs) if jobs <= 1024 => Ok(jobs),
        _ => Err("it must be a number in 1..=1024".to_owned()),
    }
}

fn runs(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least one run is kept".to_owned()),
        Ok(runs) => Ok(runs),
        Err(_) => Err("it must be a number of runs".to_owned()),
    }
}

fn level(text: &str) -> Result<LevelFilter, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let known = LEVELS.contains(&text).then(|| text.parse().ok()).flatten();
    known.ok_or_else(|| format!("the levels are {}", LEVELS.join(", ")))
}
