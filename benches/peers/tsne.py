"""The KL divergence of `tsne` beside scikit-learn's, on the same vectors with the same perplexity.

    pip install scikit-learn pyarrow && python benches/peers/tsne.py SNDPIPE

Makes mean log-mel spectra of the built-in data with SNDPIPE, places them with both, prints both divergences and their ratio, and ends
with an error where they differ by more than a tenth.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
from sklearn.manifold import TSNE

PIPELINE = """version: 1
name: places
stages:
  clips: { uses: dataset.synth, with: { clips_per_class: 60, seconds: 1.0 } }
  mel: { uses: spectrogram, in: clips.audio, with: { kind: log_mel, bands: 64 } }
  raw: { uses: embed.raw, in: mel, with: { form: mean } }
  plane: { uses: tsne, in: raw, with: { subset: all } }
"""


def main():
    program = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as work:
        Path(work, "places.yaml").write_text(PIPELINE)

        def run(*words):
            return subprocess.run([program, *words], cwd=work, check=True, capture_output=True, text=True).stdout

        run("run", "places.yaml", "raw")
        begin = time.time()
        run("run", "places.yaml")
        seconds = time.time() - begin
        run("show", "places.yaml", "raw", "--export", "out")
        with pa.OSFile(str(next(Path(work, "out").glob("*.arrow"))), "rb") as file:
            table = pa.ipc.open_file(file).read_all()
        vectors = np.array(table["values"].to_pylist(), dtype=np.float32)
        shown = json.loads(run("show", "places.yaml", "plane", "--format", "json"))
        ours = shown["meta"]["kl_divergence"]
    begin = time.time()
    peer = TSNE(perplexity=30, init="random", random_state=0, max_iter=1000).fit(vectors)
    print(f"{len(vectors)} vectors of {vectors.shape[1]} numbers")
    print(f"sndpipe       {ours:.4f}  {seconds:.1f} s")
    print(f"scikit-learn  {peer.kl_divergence_:.4f}  {time.time() - begin:.1f} s")
    ratio = ours / peer.kl_divergence_
    print(f"ratio         {ratio:.3f}")
    if abs(ratio - 1) > 0.1:
        sys.exit("the divergences differ by more than a tenth")


if __name__ == "__main__":
    main()
