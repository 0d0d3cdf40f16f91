#!/usr/bin/env bash
# features.sh MANIFEST.csv [ROUNDS]: decode + resample + log-mel of every clip, sndpipe and Python in turn, the cache of sndpipe empty each time.
# SNDPIPE names the program (default target/release/sndpipe), PYTHON the interpreter that has librosa, soundfile and soxr.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
manifest=$(realpath "$1") rounds=${2:-3}
sndpipe=$(realpath "${SNDPIPE:-$here/../target/release/sndpipe}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for _ in $(seq "$rounds"); do
  rm -rf "$work/cache"
  begin=$(date +%s.%N)
  rows=$("$sndpipe" --cache "$work/cache" run "$here/../pipelines/esc10.yaml" mel --set manifest="$manifest" --format json 2>/dev/null |
    sed -n 's/.*"rows_computed":\([0-9]*\).*"stage":"mel".*/\1/p')
  end=$(date +%s.%N)
  awk -v n="$rows" -v s="$(echo "$end $begin" | awk '{print $1 - $2}')" 'BEGIN { printf "sndpipe  %d clips in %.2f s, %.1f clips/s (whole process, cache written)\n", n, s, n / s }'
  "${PYTHON:-python3}" "$here/peers/features.py" "$manifest" | sed 's/^/python   /'
done
