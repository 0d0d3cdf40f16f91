"""How far a linear model on the mean log-mel spectrum gets on the quickstart: the bar that the network has to clear.

  python benches/peers/linear.py SNDPIPE       after `sndpipe run pipelines/quickstart.yaml`, from the same folder

Exports features, labels and splits of the pipeline, fits a logistic regression on the training clips of each fold (features
standardised on them) and prints its accuracy on the test clips.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as parquet
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

PIPELINE = "pipelines/quickstart.yaml"


def main():
    program = sys.argv[1]
    with tempfile.TemporaryDirectory() as work:
        for stage in ("mel", "clips.labels", "split[fold=1]", "split[fold=2]"):
            subprocess.run([program, "show", PIPELINE, stage, "--export", work], check=True, capture_output=True)
        files = {path.stem: path for path in Path(work).iterdir()}
        mel = next(path for name, path in files.items() if "mel" in name)
        with pa.OSFile(str(mel), "rb") as file:
            table = pa.ipc.open_file(file).read_all().to_pydict()
        bands = 64
        means = {clip: np.asarray(values, dtype=np.float64).reshape(-1, bands).mean(0) for clip, values in zip(table["clip_id"], table["values"])}
        labels = parquet.read_table(next(path for name, path in files.items() if "labels" in name)).to_pydict()
        truth = dict(zip(labels["clip_id"], labels["class"]))
        scores = []
        for name, path in sorted(files.items()):
            if "split" not in name:
                continue
            split = parquet.read_table(path).to_pydict()
            part = {subset: [clip for clip, of in zip(split["clip_id"], split["subset"]) if of == subset] for subset in ("train", "test")}
            scaler = StandardScaler().fit([means[clip] for clip in part["train"]])
            model = LogisticRegression(max_iter=5000)
            model.fit(scaler.transform([means[clip] for clip in part["train"]]), [truth[clip] for clip in part["train"]])
            scores.append(model.score(scaler.transform([means[clip] for clip in part["test"]]), [truth[clip] for clip in part["test"]]))
        print("linear model on the mean log-mel spectrum: " + ", ".join(f"{100 * score:.1f} %" for score in scores))


if __name__ == "__main__":
    main()
