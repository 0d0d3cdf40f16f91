#!/usr/bin/env bash
# pretraining.sh [ROUNDS] [FRAMES BANDS WIDTH BATCH]: contrastive pre-training with its views, sndpipe and PyTorch in turn on two threads.
# A line: program, pairs a second in training, pairs a second that can be made meanwhile, share of the time that the network waits for them.
# SNDPIPE names the program (default target/release/sndpipe), PYTHON the interpreter that has torch.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
rounds=${1:-3} frames=${2:-101} bands=${3:-96} width=${4:-1.0} batch=${5:-32}
sndpipe=$(realpath "${SNDPIPE:-$here/../target/release/sndpipe}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
set=(--cache "$work/cache" --set frames="$frames" --set bands="$bands" --set width="$width" --set batch="$batch")
"$sndpipe" run "$here/pretraining.yaml" mel split --jobs 2 "${set[@]}" 2> /dev/null
for _ in $(seq "$rounds"); do
  "$sndpipe" run "$here/pretraining.yaml" encoder --force encoder --jobs 2 "${set[@]}" 2> /dev/null
  "$sndpipe" logs "$here/pretraining.yaml" encoder "${set[@]}" |
    sed -n 's/\([0-9]*\) samples a second; [0-9]* threads can make \([0-9]*\); the network waited \(.*\) % .*/sndpipe\t\1\t\2\t\3 %/p'
  "${PYTHON:-python3}" "$here/peers/pretraining.py" "$frames" "$bands" "$width" "$batch"
done
