//! The stage.

use sndpipe_artefacts::ModelCard;
use sndpipe_cache::Meta;
use sndpipe_engine::declared;
use sndpipe_engine::{
    Kind, Output, ParamError, Port, SourceScan, Stage, StageError, StageIo, agree, counted,
};
use sndpipe_nn::{NnError, WeightFile};

use super::params::ImportParams;

/// What the file is called among the sources of the stage.
const WEIGHTS: &str = "weights";

/// `model.import`.
pub struct ModelImport;

impl Stage for ModelImport {
    const NAME: &'static str = "model.import";
    const VERSION: u32 = 1;
    type Params = ImportParams;

    fn check(params: &ImportParams) -> Vec<ParamError> {
        params.mistakes()
    }

    fn inputs(_: &ImportParams) -> Vec<Port> {
        Vec::new()
    }

    fn outputs(_: &ImportParams) -> Vec<Output> {
        vec![Output::new("model", Kind::Model)]
    }

    fn sources(params: &ImportParams, scan: &mut SourceScan<'_>) -> Result<(), StageError> {
        if !params.file.is_file() {
            let message = format!("there is no file `{}`", params.file.display());
            let help = "`file` is a `.safetensors` file; relative paths are taken from the current directory";
            return Err(StageError::failed(message).help(help));
        }
        scan.file(WEIGHTS, &params.file)
    }

    fn run(params: &ImportParams, io: &mut StageIo<'_>) -> Result<(), StageError> {
        let bytes = declared::read(WEIGHTS, &params.file, io)?;
        let explain = |error: NnError| explain(params, &error);
        let file = WeightFile::read(&bytes).map_err(explain)?;
        let (network, loading) = (params.network.spec(), params.loading());
        let classes = if params.classes.is_empty() {
            let count = file.outputs(&network, &loading).map_err(explain)?.ok_or_else(|| {
                let message = format!(
                    "`{}` holds no `{}.weight`, which would tell the number of classes",
                    params.file.display(),
                    network.classifier()
                );
                StageError::failed(message).help("give `classes`, or translate the names with `map`")
            })?;
            (0..count).map(|class| class.to_string()).collect()
        } else {
            params.classes.clone()
        };
        let card = ModelCard {
            classes: classes.clone(),
            output: params.output,
            standardisation: params.standardisation(),
            hop: params.patch.hop(),
            features: Meta::new(),
        };
        let card = serde_json::to_value(&card).map_err(|error| StageError::failed(error.to_string()))?;
        let shape = (params.input(), classes.len());
        let (model, report) =
            file.to_model(&network, shape, params.seed, &loading, &card).map_err(explain)?;
        io.log(&format!("{} read", counted(report.loaded.len(), "tensor")));
        for (names, whose, [one, more]) in [
            (&report.kept, "network", ["keeps its initial values", "keep their initial values"]),
            (&report.ignored, "file", ["was left out", "were left out"]),
        ] {
            names.iter().for_each(|name| io.log(&format!("tensor of the {whose} that {one}: {name}")));
            if let Some(first) = names.first() {
                let (tensors, what) = (counted(names.len(), "tensor"), agree(names.len(), one, more));
                io.remark(format!("{tensors} of the {whose} {what} (the first is `{first}`)"));
            }
        }
        io.write_blob("model", Meta::from([("classes".to_owned(), classes.into())]), &model, "safetensors")
    }
}

/// An error with the file's name and the parameters that lead out of it.
fn explain(params: &ImportParams, error: &NnError) -> StageError {
    let failed = StageError::failed(format!("`{}`: {error}", params.file.display()));
    let NnError::Mismatch { missing, unexpected, mismatched } = error else { return failed };
    if let Some(prefix) = prefix(missing, unexpected) {
        return failed.help(format!("translate the names: `map: [{{ from: {prefix}, to: \"\" }}]`"));
    }
    let mut ways = Vec::new();
    if !unexpected.is_empty() {
        ways.push("leave out what is unexpected with `drop`, or translate names with `map`");
    }
    if !(missing.is_empty() && unexpected.is_empty()) {
        ways.push("go on with the tensors that both have with `partial: names`");
    }
    if !mismatched.is_empty() {
        ways.push("leave out what has another shape, too, with `partial: shapes`");
    }
    failed.help(ways.join("; "))
}

/// What a tensor of the file has before a name that the network lacks.
fn prefix<'a>(missing: &[String], unexpected: &'a [String]) -> Option<&'a str> {
    unexpected
        .iter()
        .find_map(|name| {
            let starts = name.match_indices('.').map(|(dot, _)| dot + 1);
            starts.map(|start| name.split_at(start)).find(|(_, rest)| missing.iter().any(|name| name == rest))
        })
        .map(|(prefix, _)| prefix)
}
