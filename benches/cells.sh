#!/usr/bin/env bash
# cells.sh WORK [CELLS]: a matrix with so many cells (default 100000), each a random split of a small data set with parameters of its
# own. SNDPIPE names the program (default target/release/sndpipe). Prints what, seconds (median of RUNS, default 5) and peak memory in MB.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$1 cells=${2:-100000} runs=${RUNS:-5}
sndpipe=$(realpath "${SNDPIPE:-$here/../target/release/sndpipe}")
mkdir -p "$work" && cd "$work"

python3 - "$cells" <<'PYTHON'
import sys

cells = int(sys.argv[1])
shares = min(cells, 200)
seeds = cells // shares
print(f"{seeds * shares} cells")
with open("cells.yaml", "w") as file:
    file.write(f"""version: 1
name: cells
params: {{ classes: 2 }}
matrix:
  seed: [{", ".join(map(str, range(seeds)))}]
  share: [{", ".join(f"{0.2 + 0.6 * i / shares:.6f}" for i in range(shares))}]
stages:
  clips: {{ uses: dataset.synth, with: {{ classes: "${{classes}}", clips_per_class: 10, seconds: 0.5, sample_rate: 8000, folds: 2, uploaders: 4 }} }}
  split: {{ uses: split.random, in: {{ clips: clips, labels: clips.labels }}, with: {{ seed: "${{seed}}", test: "${{share}}" }} }}
""")
PYTHON

# measure WHAT RUNS COMMAND...
measure() {
  local what=$1 runs=$2; shift 2
  python3 - "$what" "$runs" "$@" <<'PYTHON'
import os, statistics, subprocess, sys, time

what, runs, command = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
seconds, peak = [], 0
for _ in range(runs):
    start = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    seconds.append(time.perf_counter() - start)
    peak = max(peak, usage.ru_maxrss)
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"{what}: {' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
print(f"{what}\t{statistics.median(seconds):.3f} s\t{min(seconds):.3f} s\t{max(seconds):.3f} s\t{peak / 1000:.0f} MB")
PYTHON
}

cell=$(python3 -c "print('split[seed=1,share=%s]' % __import__('re').search(r'share: \[([\d.]+)', open('cells.yaml').read())[1].rstrip('0'))")
measure 'plan, nothing was ever run' "$runs" "$sndpipe" plan cells.yaml
measure 'first run' 1 "$sndpipe" run cells.yaml
"$sndpipe" run cells.yaml >/dev/null 2>&1
measure 'nothing to do' "$runs" "$sndpipe" run cells.yaml
measure 'nothing to do, every stage as JSON' "$runs" "$sndpipe" run cells.yaml --format json
measure 'plan' "$runs" "$sndpipe" plan cells.yaml
measure 'plan, every stage as JSON' "$runs" "$sndpipe" plan cells.yaml --format json
measure 'explain one cell' "$runs" "$sndpipe" explain cells.yaml "$cell"
measure 'explain the stage' "$runs" "$sndpipe" explain cells.yaml split
measure 'graph' "$runs" "$sndpipe" graph cells.yaml
measure 'plan, a parameter of all changed' "$runs" "$sndpipe" plan cells.yaml --set classes=3
