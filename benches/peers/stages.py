"""Writes one sweep of N trivial stages for sndpipe, DVC and Snakemake: N/10 branches, each a chain of ten steps that append a
parameter of their own to the file of the step before.

  python benches/peers/stages.py N DIR            writes DIR/{sndpipe,dvc,snakemake}
  python benches/peers/stages.py --bump DIR       gives step 5 of branch 0 a value that it never had, in all three
  python benches/peers/stages.py --outputs DIR    writes the files that Snakemake would write
"""
import pathlib
import sys
import time

STEPS = 10
APPEND = '(cat "$1"; echo "$3") > "$2"'


def first(branch, step):
    """A value of its own: stages with equal parameters and inputs would be one job for sndpipe."""
    return 1000 * branch + step


def before(branch, step):
    return "data.txt" if step == 0 else f"out/b{branch}_s{step - 1}.txt"


def sndpipe(folder, branches):
    lines = ["version: 1", "name: sweep", "params:"]
    lines += [f"  b{b}_s{s}: {first(b, s)}" for b in range(branches) for s in range(STEPS)]
    lines += ["stages:", "  data: { uses: command, with: { program: [cp, data.txt, '{out.text}'], files: [data.txt], outputs: { text: file } } }"]
    for b in range(branches):
        for s in range(STEPS):
            source = "data" if s == 0 else f"b{b}_s{s - 1}"
            program = f"[sh, -c, '{APPEND}', sh, '{{in.text}}', '{{out.text}}', 'p${{b{b}_s{s}}}']"
            lines.append(
                f"  b{b}_s{s}: {{ uses: command, in: {{ text: {source} }}, "
                f"with: {{ program: {program}, inputs: {{ text: file }}, outputs: {{ text: file }} }} }}"
            )
    (folder / "sweep.yaml").write_text("\n".join(lines) + "\n")


def params(folder, branches):
    text = "".join(f"b{b}:\n" + "".join(f"  s{s}: {first(b, s)}\n" for s in range(STEPS)) for b in range(branches))
    (folder / "params.yaml").write_text(text)


def dvc(folder, branches):
    params(folder, branches)
    lines = ["stages:"]
    for b in range(branches):
        for s in range(STEPS):
            command = f"mkdir -p out && (cat {before(b, s)}; echo p${{b{b}.s{s}}}) > out/b{b}_s{s}.txt"
            lines += [f"  b{b}_s{s}:", f"    cmd: {command}", f"    deps: [{before(b, s)}]", f"    params: [b{b}.s{s}]", f"    outs: [out/b{b}_s{s}.txt]"]
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")


def snakemake(folder, branches):
    params(folder, branches)
    lines = ["configfile: 'params.yaml'", "rule all:", f"    input: expand('out/b{{b}}_s{STEPS - 1}.txt', b=range({branches}))"]
    for s in range(STEPS):
        source = "data.txt" if s == 0 else f"out/b{{b}}_s{s - 1}.txt"
        lines += [
            f"rule s{s}:",
            f"    input: '{source}'",
            f"    output: 'out/b{{b}}_s{s}.txt'",
            f"    params: p=lambda w: config['b' + w.b]['s{s}']",
            "    shell: '(cat {input}; echo p{params.p}) > {output}'",
        ]
    (folder / "Snakefile").write_text("\n".join(lines) + "\n")


def generate(count, root):
    for write in (sndpipe, dvc, snakemake):
        folder = root / write.__name__
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "data.txt").write_text("root\n")
        write(folder, count // STEPS)


def bump(root):
    value = time.time_ns()
    for name, file, key in (("sndpipe", "sweep.yaml", "b0_s5"), ("dvc", "params.yaml", "s5"), ("snakemake", "params.yaml", "s5")):
        path = root / name / file
        if path.exists():
            lines = path.read_text().splitlines()
            at = next(i for i, line in enumerate(lines) if line.startswith(f"  {key}:"))
            lines[at] = f"  {key}: {value}"
            path.write_text("\n".join(lines) + "\n")


def outputs(root):
    folder = root / "snakemake" / "out"
    folder.mkdir(exist_ok=True)
    branches = sum(line.startswith("b") for line in (root / "snakemake" / "params.yaml").read_text().splitlines())
    for b in range(branches):
        text = "root\n"
        for s in range(STEPS):
            text += f"p{first(b, s)}\n"
            (folder / f"b{b}_s{s}.txt").write_text(text)


if __name__ == "__main__":
    if sys.argv[1] == "--bump":
        bump(pathlib.Path(sys.argv[2]))
    elif sys.argv[1] == "--outputs":
        outputs(pathlib.Path(sys.argv[2]))
    else:
        generate(int(sys.argv[1]), pathlib.Path(sys.argv[2]))
