"""Writes a folder of five-second files (mono, 16 bits, 44.1 kHz, seeded noise) with one stage over it for sndpipe, DVC and Snakemake.

  python benches/peers/clips.py COUNT DIR
"""
import pathlib
import random
import sys
import wave

SNDPIPE = """version: 1
name: files
stages:
  clips: { uses: dataset.folder, with: { root: ../data } }
  split: { uses: split.random, in: { clips: clips, labels: clips.labels }, with: { test: 0.2, seed: 1 } }
"""
DVC = "stages:\n  list:\n    cmd: ls data > list.txt\n    deps: [data]\n    outs: [list.txt]\n"
SNAKEMAKE = """from pathlib import Path
rule all:
    input: 'list.txt'
rule list:
    input: sorted(str(p) for p in Path('data').rglob('*.wav'))
    output: 'list.txt'
    shell: 'ls data > {output}'
"""


def main():
    count, root = int(sys.argv[1]), pathlib.Path(sys.argv[2])
    dice = random.Random(1)
    for n in range(count):
        folder = root / "data" / f"class{n % 50:02}"
        folder.mkdir(parents=True, exist_ok=True)
        with wave.open(str(folder / f"{n}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(44100)
            file.writeframes(dice.randbytes(2 * 5 * 44100))
    for name, file, text in (("sndpipe", "files.yaml", SNDPIPE), ("dvc", "dvc.yaml", DVC), ("snakemake", "Snakefile", SNAKEMAKE)):
        (root / name).mkdir(exist_ok=True)
        (root / name / file).write_text(text)


if __name__ == "__main__":
    main()
