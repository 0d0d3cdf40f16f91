"""Decode + resample + log-mel (front-end F1) of a folder of clips in one Python process: soundfile, soxr, librosa.

  python benches/peers/features.py MANIFEST.csv      the CSV has a column `path`, relative to itself

Prints one JSON line: clips, seconds (imports not counted), clips_per_s.
"""
import csv
import json
import os
import sys
import time

import librosa
import numpy as np
import soundfile
import soxr

RATE, WINDOW, HOP, FFT, BANDS, LOW, HIGH, OFFSET = 22050, 660, 220, 2048, 96, 50.0, 10500.0, 1.1e-8


def samples(path):
    x, rate = soundfile.read(path, dtype="float32", always_2d=True)
    x = x.mean(axis=1)
    if rate != RATE:
        x = soxr.resample(x, rate, RATE, quality="HQ")
    x = x - x.mean()
    return (x / (np.abs(x).max() + 0.005)).astype(np.float32)


def log_mel(x, filters):
    spectrum = librosa.stft(x + np.float32(OFFSET), n_fft=FFT, hop_length=HOP, win_length=WINDOW, window="hamming", center=True, pad_mode="reflect")
    power = np.abs(spectrum).astype(np.float32) ** 2
    return np.log10(filters @ power + np.float32(OFFSET)).T


def main():
    manifest = sys.argv[1]
    with open(manifest, newline="", encoding="utf-8") as file:
        paths = [os.path.join(os.path.dirname(manifest), row["path"]) for row in csv.DictReader(file)]
    filters = librosa.filters.mel(sr=RATE, n_fft=FFT, n_mels=BANDS, fmin=LOW, fmax=HIGH, htk=False, norm=None).astype(np.float32)
    log_mel(samples(paths[0]), filters)
    start = time.perf_counter()
    frames = sum(len(log_mel(samples(path), filters)) for path in paths)
    seconds = time.perf_counter() - start
    print(json.dumps({"clips": len(paths), "frames": frames, "seconds": round(seconds, 3), "clips_per_s": round(len(paths) / seconds, 1)}))


if __name__ == "__main__":
    main()
