"""Check values for the spectrogram front-ends, computed with librosa, numpy and Pillow.

  python benches/peers/frontends.py [--out stages/audio/tests/audio/frontends.json]

Needs: librosa, numpy, pillow. The test signal is a formula (see `signal`), so that no audio file is needed;
stages/tests/frontends.rs builds the same one. Each case holds some frames of the features and the parameters that
give them.
"""

import argparse
import json

import librosa
import numpy as np
from PIL import Image


def signal(rate, seconds):
    """A chirp, decaying 3-kHz clicks four times a second, noise, and silence from 0.6 s to 0.8 s; float32 values as float64."""
    n = int(rate * seconds)
    t = np.arange(n) / rate
    state, noise = 12345, np.empty(n)
    for i in range(n):
        state = (1664525 * state + 1013904223) % 2**32
        noise[i] = state / 2**31 - 1.0
    x = 0.4 * np.sin(2 * np.pi * (200 * t + 1500 * t * t))
    x += 0.2 * np.exp(-30 * (t % 0.25)) * np.sin(2 * np.pi * 3000 * t) + 0.01 * noise
    x[(t >= 0.6) & (t < 0.8)] = 0.0
    return x.astype(np.float32).astype(np.float64)


def stft(x, n_fft, win, hop, window, **kw):
    return np.abs(librosa.stft(x, n_fft=n_fft, hop_length=hop, win_length=win, window=window, **kw))


def uncentred(x, n_fft, win, hop):
    """Whole windows inside the clip. librosa counts whole FFTs, so the missing zeros around the window are added by hand."""
    left = (n_fft - win) // 2
    x = np.concatenate([np.zeros(left), x, np.zeros(n_fft - win - left)])
    return stft(x, n_fft, win, hop, "hann", center=False)


def mel(rate, n_fft, bands, low, high, htk, norm=None):
    return librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=bands, fmin=low, fmax=high, htk=htk, norm=norm, dtype=np.float64)


def f1(rate=22050):
    x = signal(rate, 1.0) + 1.1e-8
    p = stft(x, 2048, 660, 220, "hamming", center=True, pad_mode="reflect") ** 2
    return np.log10(mel(rate, 2048, 96, 50.0, 10500.0, False) @ p + 1.1e-8).T


def f2(rate=44100):
    x = signal(rate, 1.0) + 2.22e-16
    p = stft(x, 2048, 1764, 882, "hamming", center=True, pad_mode="reflect") ** 2
    return np.log10(mel(rate, 2048, 96, 0.0, 22050.0, False) @ p + 2.22e-16).T


def f3(rate=44100):
    s = stft(signal(rate, 1.0), 2048, 1654, 561, "blackmanharris", center=True, pad_mode="reflect")
    p = (s / np.sqrt(2048)) ** 2
    db = 10 * np.log10(np.where(p > 0, p, 1e-18))[:1023]
    return db.reshape(3, 341, -1).transpose(0, 2, 1)


def f4(rate=16000):
    m = uncentred(signal(rate, 1.0), 512, 400, 160)
    return np.log(mel(rate, 512, 64, 125.0, 7500.0, True) @ m + 0.01).T


def torchaudio_fbanks(bins, rate, bands):
    """The formula of torchaudio's melscale_fbanks (HTK, no norm): bins spread evenly over 0..rate // 2."""
    hz = np.linspace(0, rate // 2, bins)
    top = 2595 * np.log10(1 + rate / 2 / 700)
    corners = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    slopes = corners[None, :] - hz[:, None]
    width = np.diff(corners)
    return np.maximum(0, np.minimum(-slopes[:, :-2] / width[:-1], slopes[:, 2:] / width[1:]))


def f5(rate, seconds=1.0):
    x = signal(rate, seconds)
    ms = [(25, 10), (50, 25), (100, 50)]
    n_fft = int(rate * 100 / 1000)
    out = []
    for window, hop in ms:
        s = stft(x, n_fft, int(rate * window / 1000), int(rate * hop / 1000), "hann", center=True, pad_mode="reflect")
        image = np.log(torchaudio_fbanks(n_fft // 2 + 1, rate, 128).T @ s**2 + 1e-6).astype(np.float32)
        frames = round(50 * seconds)
        out.append(np.asarray(Image.fromarray(image).resize((frames, 128), Image.BILINEAR)).T)
    return np.stack(out)


def f6(rate=44100):
    m = uncentred(signal(rate, 1.0), 2048, 1102, 441)
    return np.log(mel(rate, 2048, 96, 20.0, 20000.0, True) @ m + 0.001).T


def free(rate=22050):
    """Nothing of a recipe: librosa's own defaults, area-normalised filters, zeros at the ends, a clamped decibel."""
    s = librosa.feature.melspectrogram(y=signal(rate, 1.0), sr=rate, n_fft=1024, hop_length=256, n_mels=64, power=2.0)
    return (10 * np.log10(np.maximum(s, 1e-10))).T


FREE = {
    "kind": "log_mel", "bands": 64, "window": "hann", "window_samples": 1024, "hop_samples": 256, "n_fft": 1024,
    "scale": "slaney", "area_norm": True, "low_hz": 0.0, "high_hz": 11025.0, "spectrum": "power", "log": "decibel",
    "offset": 1e-10, "offset_placement": "clamp", "waveform_offset": 0.0, "padding": "zero",
}


def case(name, rate, params, values, per_log10, band_step=1):
    """Keeps the edges, the silence and some frames between; `per_log10` is what a factor of ten is in the values."""
    values = values if values.ndim == 3 else values[None]
    channels, frames, bands = values.shape
    picked = sorted({0, 1, frames // 3, int(frames * 0.6), int(frames * 0.7), frames - 1})
    chosen = values[:, picked, ::band_step]
    return {
        "name": name, "sample_rate": rate, "params": params, "channels": channels, "frames": frames, "bands": bands,
        "per_log10": per_log10, "picked_frames": picked, "band_step": band_step,
        "values": [round(float(v), 5) for v in chosen.ravel()],
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="stages/audio/tests/audio/frontends.json")
    args = parser.parse_args()
    ln10 = float(np.log(10))
    cases = [
        case("f1", 22050, {"recipe": "f1"}, f1(), 1.0),
        case("f2", 44100, {"recipe": "f2"}, f2(), 1.0),
        case("f3", 44100, {"recipe": "f3"}, f3(), 10.0, 5),
        case("f4", 16000, {"recipe": "f4"}, f4(), ln10),
        case("f5", 44100, {"recipe": "f5"}, f5(44100), ln10, 3),
        case("f5, an odd FFT", 22050, {"recipe": "f5"}, f5(22050), ln10, 3),
        case("f6", 44100, {"recipe": "f6"}, f6(), ln10),
        case("free", 22050, FREE, free(), 10.0),
    ]
    with open(args.out, "w") as file:
        json.dump({"versions": {"librosa": librosa.__version__, "numpy": np.__version__}, "cases": cases}, file, separators=(",", ":"))
        file.write("\n")


if __name__ == "__main__":
    main()
