"""Compares sndpipe's decoding with libsndfile, and its resampler with soxr, on every clip of a CSV (column `path`).

  python benches/peers/decode.py SNDPIPE MANIFEST.csv [EVERY]

Prints, for the decoder (no resampling) and for 44.1 -> 22.05 kHz, the energy of the difference against that of the clip in dB: median and worst.
"""
import csv
import math
import os
import subprocess
import sys
import tempfile

import numpy as np
import soundfile
import soxr

PIPELINE = """version: 1
name: decode
params: {{ manifest: x, rate: 44100 }}
stages:
  clips: {{ uses: dataset.csv, with: {{ manifest: "${{manifest}}", class: {label} }} }}
  audio: {{ uses: decode, in: clips, with: {{ sample_rate: "${{rate}}", remove_mean: false, normalise: none }} }}
"""


def decibels(ours, theirs):
    count = min(len(ours), len(theirs))
    energy = float(np.sum(theirs[:count].astype(np.float64) ** 2))
    difference = float(np.sum((ours[:count].astype(np.float64) - theirs[:count]) ** 2))
    return -math.inf if difference == 0 or energy == 0 else 10 * math.log10(difference / energy)


def main():
    program, manifest, every = os.path.realpath(sys.argv[1]), os.path.realpath(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 1
    with open(manifest, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    label = next(name for name in ("category", "class", "label") if name in rows[0])
    with tempfile.TemporaryDirectory() as work:
        with open(os.path.join(work, "decode.yaml"), "w", encoding="utf-8") as file:
            file.write(PIPELINE.format(label=label))
        for rate in (44100, 22050):
            options = ["decode.yaml", "audio", "--set", f"manifest={manifest}", "--set", f"rate={rate}"]
            subprocess.run([program, "run", *options], cwd=work, check=True, capture_output=True)
            subprocess.run([program, "show", *options, "--export", str(rate), "--as", "wav"], cwd=work, check=True, capture_output=True)
            found, lengths = [], 0
            wavs = {os.path.relpath(os.path.join(base, name), os.path.join(work, str(rate))): os.path.join(base, name)
                    for base, _, names in os.walk(os.path.join(work, str(rate))) for name in names}
            for row in rows[::every]:
                stem = os.path.splitext(row["path"])[0]
                ours = next(path for name, path in wavs.items() if stem.split("/")[-1] in name)
                theirs, source = soundfile.read(os.path.join(os.path.dirname(manifest), row["path"]), dtype="float32", always_2d=True)
                theirs = theirs.mean(axis=1)
                if source != rate:
                    theirs = soxr.resample(theirs, source, rate, quality="HQ")
                ours, _ = soundfile.read(ours, dtype="float32")
                lengths += len(ours) != len(theirs)
                found.append(decibels(ours, theirs))
            print(f"{rate} Hz: {len(found)} clips, median {np.median(found):.1f} dB, worst {max(found):.1f} dB, {lengths} lengths differ")


if __name__ == "__main__":
    main()
