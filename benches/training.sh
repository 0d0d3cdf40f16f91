#!/usr/bin/env bash
# training.sh [NETWORKS] [BATCHES] [MODES]: sndpipe beside PyTorch, case by case, one process each. Needs a python with torch first on PATH.
# A line: program, network, mode, batch, samples a second (median, best), most MiB.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
bench=$(cargo bench --quiet --no-run -p sndpipe-nn --message-format json | grep -o '"executable":"[^"]*train_step[^"]*"' | cut -d'"' -f4)
for network in ${1:-vgg41_plain vgg41 vgg_like resnet18 crnn}; do
  for batch in ${2:-32}; do
    for mode in ${3:-train infer}; do
      "$bench" "$network" "$batch" "$mode"
      python "$here/peers/training.py" "$network" "$batch" "$mode"
    done
  done
done
