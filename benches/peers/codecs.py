"""Compares how sndpipe decodes containers, codecs, channels, rates and lengths with ffmpeg, libsndfile, mpg123 and opusdec.

  python benches/peers/codecs.py SNDPIPE [ONLY…]

Needs ffmpeg, lame, oggenc, opusenc, opusdec, mpg123 and Python's numpy and soundfile. Writes sounds that are loud from their first sample to
their last, encodes each, decodes it with sndpipe (stage `decode`, mono, nothing normalised) and with every peer that reads it, and
prints a line a codec: files, those that no peer decodes (they must have the source's length at least), the longest difference in length to the source and to the nearest peer, the largest lag behind the
source, and the worst difference to the nearest peer in dB of the source's energy. Exits 1 where a file is refused, has another
length than each peer and than the source, is late, or differs from each peer by more than the codec's bound.
"""
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import soundfile

LENGTHS = (1, 441, 11_025)
CHANNELS = (1, 2, 6)
RATES = (8000, 22_050, 44_100, 96_000)
OPUS = (8000, 16_000, 48_000)

# name: (extension, command with {i} source and {o} target, rates, channels, bound in dB against a peer)
FF = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", "{i}"]
MPEG1, MPEG2 = (32_000, 44_100), (8000, 16_000, 22_050)
CODECS = {
    **{f"wav {c}": ("wav", [*FF, "-c:a", c, "{o}"], RATES, CHANNELS, -90)
       for c in ("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw")},
    "rf64": ("wav", [*FF, "-rf64", "always", "{o}"], RATES, CHANNELS, -90),
    "w64": ("w64", [*FF, "{o}"], RATES, CHANNELS, -90),
    "caf": ("caf", [*FF, "-c:a", "pcm_s16le", "{o}"], RATES, CHANNELS, -90),
    "au": ("au", [*FF, "-c:a", "pcm_s16be", "{o}"], RATES, CHANNELS, -90),
    **{f"aiff {c}": ("aiff", [*FF, "-c:a", c, "{o}"], RATES, CHANNELS, -90)
       for c in ("pcm_s8", "pcm_s16be", "pcm_s24be", "pcm_s32be", "pcm_f32be", "pcm_f64be", "pcm_alaw", "pcm_mulaw", "pcm_s16le")},
    "wav pipe": ("wav", ["sh", "-c", "ffmpeg -v error -nostdin -i {i} -f wav - | cat > {o}"], RATES, CHANNELS, -90),
    "wav ima": ("wav", [*FF, "-c:a", "adpcm_ima_wav", "{o}"], RATES, (1, 2), -60),
    "wav ms": ("wav", [*FF, "-c:a", "adpcm_ms", "{o}"], RATES, (1, 2), -60),
    "wav mp3": ("wav", [*FF, "-c:a", "libmp3lame", "{o}"], MPEG1, (1, 2), -60),
    "flac": ("flac", [*FF, "{o}"], RATES, CHANNELS, -90),
    "flac 24": ("flac", [*FF, "-sample_fmt", "s32", "{o}"], RATES, CHANNELS, -90),
    "flac pipe": ("flac", ["sh", "-c", "ffmpeg -v error -nostdin -i {i} -f flac - | cat > {o}"], RATES, CHANNELS, -90),
    "ogg flac": ("oga", [*FF, "-c:a", "flac", "{o}"], RATES, CHANNELS, -90),
    "mka flac": ("mka", [*FF, "-c:a", "flac", "{o}"], RATES, CHANNELS, -90),
    "mka pcm": ("mka", [*FF, "-c:a", "pcm_s16le", "{o}"], RATES, CHANNELS, -90),
    **{f"vorbis q{q}": ("ogg", ["oggenc", "-Q", "-q", str(q), "-o", "{o}", "{i}"], RATES, CHANNELS, -80) for q in (-1, 3, 6, 10)},
    "webm vorbis": ("webm", [*FF, "-c:a", "libvorbis", "-q:a", "3", "{o}"], RATES, CHANNELS, -80),
    "mka vorbis": ("mka", [*FF, "-c:a", "libvorbis", "-q:a", "3", "{o}"], RATES, CHANNELS, -80),
    "opus": ("opus", ["opusenc", "--quiet", "{i}", "{o}"], OPUS, CHANNELS, -60),
    "opus voip": ("opus", [*FF, "-c:a", "libopus", "-b:a", "12k", "-application", "voip", "{o}"], OPUS, (1, 2), -60),
    "webm opus": ("webm", [*FF, "-c:a", "libopus", "{o}"], OPUS, CHANNELS, -60),
    "mka opus": ("mka", [*FF, "-c:a", "libopus", "{o}"], OPUS, CHANNELS, -60),
    "mp4 opus": ("mp4", [*FF, "-c:a", "libopus", "-strict", "-2", "{o}"], OPUS, CHANNELS, -60),
    "mp3 cbr": ("mp3", ["lame", "--quiet", "-b", "128", "{i}", "{o}"], MPEG2 + MPEG1, (1, 2), -60),
    "mp3 vbr": ("mp3", ["lame", "--quiet", "-V", "2", "{i}", "{o}"], MPEG2 + MPEG1, (1, 2), -60),
    "mp3 abr": ("mp3", ["lame", "--quiet", "--abr", "128", "{i}", "{o}"], MPEG2 + MPEG1, (1, 2), -60),
    "mp3 vbr no tag": ("mp3", ["lame", "--quiet", "-t", "-V", "2", "{i}", "{o}"], MPEG2 + MPEG1, (1, 2), -60),
    "mp3 cbr no tag": ("mp3", ["lame", "--quiet", "-t", "-b", "128", "{i}", "{o}"], MPEG2 + MPEG1, (1, 2), -60),
    "mp3 ffmpeg": ("mp3", [*FF, "-q:a", "4", "{o}"], MPEG2 + MPEG1, (1, 2), -60),
    "mp3 free": ("mp3", ["lame", "--quiet", "--freeformat", "-b", "450", "{i}", "{o}"], MPEG1, (1, 2), -60),
    "mp2": ("mp2", [*FF, "-b:a", "384k", "{o}"], MPEG1, (1, 2), -60),
    "caf mp3": ("caf", [*FF, "-c:a", "libmp3lame", "{o}"], MPEG1, (1, 2), -60),
    # Nothing trims its start, where ffmpeg's own decoder of Opus is least exact.
    "caf opus": ("caf", [*FF, "-c:a", "libopus", "{o}"], OPUS, (1, 2), -45),
    "mp4 mp3": ("mp4", [*FF, "-c:a", "libmp3lame", "{o}"], MPEG1, (1, 2), -60),
    "mka mp3": ("mka", [*FF, "-c:a", "libmp3lame", "{o}"], MPEG1, (1, 2), -60),
    "aac adts": ("aac", [*FF, "{o}"], RATES, CHANNELS, -40),
    "aac m4a": ("m4a", [*FF, "{o}"], RATES, CHANNELS, -40),
    "aac fragments": ("m4a", [*FF, "-movflags", "frag_keyframe+empty_moov", "-frag_duration", "200000", "{o}"], RATES, CHANNELS, -40),
    "aac mov": ("mov", [*FF, "-c:a", "aac", "{o}"], RATES, CHANNELS, -40),
    "aac mka": ("mka", [*FF, "-c:a", "aac", "{o}"], RATES, CHANNELS, -40),
    "alac m4a": ("m4a", [*FF, "-c:a", "alac", "{o}"], RATES, CHANNELS, -90),
    "alac caf": ("caf", [*FF, "-c:a", "alac", "{o}"], RATES, CHANNELS, -90),
    "mov pcm": ("mov", [*FF, "-c:a", "pcm_s16be", "{o}"], RATES, CHANNELS, -90),
}

# Samples that a file has beyond the source by what it declares itself: ffmpeg writes no edit list into the first fragment.
DECLARED = {"aac fragments": 1024}

PIPELINE = """version: 1
name: codecs
stages:
  clips: {{ uses: dataset.csv, with: {{ manifest: m.csv, class: class }} }}
  audio: {{ uses: decode, in: clips, with: {{ sample_rate: {rate}, remove_mean: false, normalise: none, on_error: skip }} }}
"""


def source(path, rate, channels, length):
    """Noise that differs by channel, at full level from the first sample to the last."""
    rng = np.random.default_rng([rate, channels, length])
    noise = rng.standard_normal((length + 64, channels))
    kernel = np.hanning(9)[:, None] / 4
    smooth = sum(kernel[i] * noise[i:i + length] for i in range(9))
    soundfile.write(path, np.clip(0.25 * smooth, -0.99, 0.99), rate, subtype="PCM_16")


def by_ffmpeg(path):
    probe = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "a:0", "-show_entries", "stream=channels,sample_rate", "-of", "json", path],
                           capture_output=True, text=True, check=False)
    try:
        stream = json.loads(probe.stdout)["streams"][0]
        done = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", path, "-map", "a:0", "-f", "f32le", "-c:a", "pcm_f32le", "-"], capture_output=True, check=False)
        return np.frombuffer(done.stdout, "<f4").reshape(-1, stream["channels"]), int(stream["sample_rate"])
    except (KeyError, IndexError, ValueError):
        return None


def by_libsndfile(path):
    blocks = []
    try:
        with soundfile.SoundFile(path) as file:
            # In blocks, for a stream from a pipe does not say how long it is.
            while len(block := file.read(1 << 16, dtype="float32", always_2d=True)):
                blocks.append(block)
            return np.concatenate([np.zeros((0, file.channels), "float32"), *blocks]), file.samplerate
    except soundfile.LibsndfileError:
        return None


def by_mpg123(path):
    if not path.endswith(".mp3"):
        return None
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["mpg123", "-q", "-e", "f32", "-w", file.name, path], capture_output=True, check=False)
        return by_libsndfile(file.name)


def by_opusdec(path):
    if not path.endswith(".opus"):
        return None
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run(["opusdec", "--quiet", "--float", "--rate", "48000", path, file.name], capture_output=True, check=False)
        return by_libsndfile(file.name)


PEERS = {"ffmpeg": by_ffmpeg, "libsndfile": by_libsndfile, "mpg123": by_mpg123, "opusdec": by_opusdec}


def lag(ours, theirs, reach=3000):
    """How many samples `ours` comes late, by the largest correlation."""
    n = min(len(ours), len(theirs))
    if n < 400:
        return 0
    size = 1 << (2 * n - 1).bit_length()
    product = np.fft.irfft(np.fft.rfft(ours[:n], size) * np.conj(np.fft.rfft(theirs[:n], size)), size)
    reach = min(reach, n - 1)
    both = np.concatenate([product[-reach:], product[:reach + 1]])
    return int(np.argmax(both)) - reach


def decibels(difference, reference):
    energy, error = float(np.sum(np.square(reference, dtype=np.float64))), float(np.sum(np.square(difference, dtype=np.float64)))
    return -200.0 if error == 0 else 200.0 if energy == 0 else max(-200.0, 10 * np.log10(error / energy))


def encode(task):
    name, command, i, o = task
    words = [word.replace("{i}", i).replace("{o}", o) for word in command]
    done = subprocess.run(words, capture_output=True, check=False)
    return name, done.returncode == 0 and os.path.exists(o) and os.path.getsize(o) > 0


def run(program, work, rate):
    with open(os.path.join(work, f"{rate}.yaml"), "w", encoding="utf-8") as file:
        file.write(PIPELINE.format(rate=rate).replace("m.csv", f"{rate}.csv"))
    base = [program, "--cache", os.path.join(work, "cache")]
    done = subprocess.run([*base, "run", f"{rate}.yaml"], cwd=work, capture_output=True, text=True, check=False)
    logs = subprocess.run([*base, "logs", f"{rate}.yaml", "audio"], cwd=work, capture_output=True, text=True, check=False).stdout
    subprocess.run([*base, "show", f"{rate}.yaml", "audio", "--export", f"out{rate}", "--as", "wav"], cwd=work, capture_output=True, check=False)
    return done.stderr, logs


def main():
    program, only = os.path.realpath(sys.argv[1]), sys.argv[2:]
    with tempfile.TemporaryDirectory() as work:
        failed = compare(program, work, {name: codec for name, codec in CODECS.items() if not only or any(word in name for word in only)})
    sys.exit(failed)


def compare(program, work, codecs):
    tasks, made = [], []
    for number, (name, (extension, command, rates, channels, _)) in enumerate(codecs.items()):
        for rate in rates:
            for count in channels:
                for length in LENGTHS:
                    origin = os.path.join(work, f"{rate}_{count}_{length}.wav")
                    if not os.path.exists(origin):
                        source(origin, rate, count, length)
                    target = f"{number:02}_{rate}_{count}_{length}.{extension}"
                    tasks.append(((name, target, origin, rate, count, length), command, origin, os.path.join(work, target)))
    with ThreadPoolExecutor(2) as pool:
        made = [what for what, done in pool.map(encode, tasks) if done]
    by_rate = defaultdict(list)
    for what in made:
        by_rate[48_000 if "opus" in what[0] else what[3]].append(what)
    rows, failures = defaultdict(lambda: {"files": 0, "alone": 0, "length": 0, "peer": 0, "lag": 0, "level": 0.0, "worst": -200.0}), []
    for rate, files in sorted(by_rate.items()):
        with open(os.path.join(work, f"{rate}.csv"), "w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([("path", "class"), *((what[1], "a") for what in files)])
        said, logs = run(program, work, rate)
        for what in files:
            judge(work, rate, what, codecs[what[0]][4], rows[what[0]], failures, said + logs)
    print(f"{'codec':<16} {'files':>5} {'alone':>5} {'to source':>10} {'to peer':>8} {'lag':>5} {'level dB':>9} {'worst dB':>9}")
    for name, row in rows.items():
        print(f"{name:<16} {row['files']:>5} {row['alone']:>5} {row['length']:>10} {row['peer']:>8} {row['lag']:>5} {row['level']:>9.3f} {row['worst']:>9.1f}")
    print(f"{sum(row['files'] for row in rows.values())} files, {len(failures)} failures, {len(tasks) - len(made)} combinations that the encoder does not make")
    for failure in failures[:60]:
        print("  " + failure)
    return 1 if failures else 0


def judge(work, rate, what, bound, row, failures, said):
    name, target, origin, _, count, length = what
    row["files"] += 1
    path = os.path.join(work, f"out{rate}", "audio", target if target.endswith(".wav") else target + ".wav")
    peers = {peer: found for peer, read in PEERS.items() if (found := read(os.path.join(work, target))) is not None and len(found[0])}
    if not os.path.exists(path):
        reason = next((line for line in said.splitlines() if target in line), "no reason")
        if peers:
            failures.append(f"{name}, {count} channels, {length} samples: refused, {'/'.join(peers)} read it: {reason.strip()}")
        return
    ours = soundfile.read(path, dtype="float32")[0]
    rated = {peer: data.mean(axis=1) for peer, (data, other) in peers.items() if other == rate}
    truth = soundfile.read(origin, dtype="float32", always_2d=True)
    wanted = round(length * rate / truth[1]) + DECLARED.get(name, 0)
    if not peers and len(ours) >= wanted:
        row["alone"] += 1
        return
    if not rated:
        failures.append(f"{name}, {count} channels, {rate} Hz, {length} samples: no peer at this rate ({ {p: r for p, (_, r) in peers.items()} })")
        return
    late = lag(ours, truth[0].mean(axis=1)) if truth[1] == rate else 0
    lengths = {peer: abs(len(ours) - len(data)) for peer, data in rated.items()}
    near = min(lengths.values())
    worst = min(difference(ours, data) for data in rated.values())
    whole = [data for data in rated.values() if len(data) >= 400]
    level = min((20 * np.log10((rms(ours) + 1e-9) / (rms(data) + 1e-9)) for data in whole), key=abs, default=0.0)
    row["length"] = max(row["length"], abs(len(ours) - wanted))
    row["peer"] = max(row["peer"], near)
    row["lag"] = max(row["lag"], late, key=abs)
    row["level"] = max(row["level"], level, key=abs)
    if length >= 400:
        row["worst"] = max(row["worst"], worst)
    where = f"{name}, {count} channels, {truth[1]} Hz, {length} samples"
    if near and len(ours) != wanted:
        failures.append(f"{where}: {len(ours)} samples, peers {({p: len(d) for p, d in rated.items()})}")
    peers_late = [lag(data, truth[0].mean(axis=1)) for data in rated.values()] if truth[1] == rate and late else []
    if late and late not in peers_late:
        failures.append(f"{where}: {late} samples late, peers {peers_late}")
    if length >= 400 and worst > bound:
        failures.append(f"{where}: {worst:.1f} dB from the nearest peer")


def rms(data):
    return float(np.sqrt(np.mean(np.square(data, dtype=np.float64))))


def difference(ours, theirs):
    """Energy of the difference at the best of a few shifts: peers may trim the start otherwise."""
    best = 200.0
    for shift in {0, lag(ours, theirs)}:
        a, b = (ours[shift:], theirs) if shift >= 0 else (ours, theirs[-shift:])
        n = min(len(a), len(b))
        if n:
            best = min(best, decibels(a[:n] - b[:n], b[:n]))
    return best


main()
