#!/usr/bin/env bash
# rows.sh WORK [ROWS]: a data set of so many rows (a million if absent) and one map stage over it: first run, nothing to do, ten rows more, ten fewer,
# another order, each as a whole process: wall and CPU time, peak memory. The clips are four samples long, so that nearly all the time is bookkeeping. Needs cargo and python3;
# SNDPIPE names the program (default target/release/sndpipe). DVC and Snakemake know files and stages, not rows: after any change of the
# file they compute all of it, so there is nothing to measure beside us.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$1 rows=${2:-1000000}
sndpipe=$(realpath "${SNDPIPE:-$here/../target/release/sndpipe}")
mkdir -p "$work" && work=$(realpath "$work")
write() { (cd "$here/.." && cargo bench -q --bench rows -- "$work/rows.arrow" "$@"); }
cd "$work"
rm -rf .sndpipe
cat >rows.yaml <<'YAML'
version: 1
name: rows
stages:
  rows: { uses: command, with: { program: [cp, rows.arrow, "{out.audio}"], files: [rows.arrow], outputs: { audio: audio } } }
  level: { uses: decode, in: rows, with: { sample_rate: 8000 } }
YAML
measure() {
  python3 - "$1" "$sndpipe" <<'PYTHON'
import json, os, resource, subprocess, sys, time
what, program = sys.argv[1:]
begun = time.monotonic()
run = subprocess.Popen([program, "run", "rows.yaml", "--format", "json"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
lines = [json.loads(line) for line in run.stdout]
_, status, used = os.wait4(run.pid, 0)
seconds = time.monotonic() - begun
assert status == 0, status
level = next(line for line in lines if line.get("stage") == "level")
print(f"{what:<14} {seconds:8.2f} s wall {used.ru_utime + used.ru_stime:8.2f} s CPU {used.ru_maxrss / 1024:6.0f} MiB"
      f"   level: {level['status']:<6} {level['seconds']:6.2f} s, {level['rows_computed']} computed, {level['rows_reused']} reused", flush=True)
PYTHON
}
write "$rows"
measure 'first run'
measure 'nothing to do'
write $((rows + 10))
measure '+10 rows'
write $((rows - 10))
measure '-10 rows'
write $((rows - 10)) reversed
measure 'reordered'
