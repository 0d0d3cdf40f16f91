#!/usr/bin/env bash
# cuda.sh build DIR: builds the tests and the timings of sndpipe-nn for NVIDIA GPUs into DIR. Needs a CUDA toolkit with nvcc.
# cuda.sh run DIR [NETWORKS] [BATCHES]: on a machine with a GPU, runs them: every operation against its definition, every network
# against PyTorch's numbers, samples a second (beside PyTorch, where there is a python with torch first on PATH), and what each
# kernel takes. libcuda.so.1, libcublas, libnvrtc and libcudnn must be found on LD_LIBRARY_PATH, for example in the folders
# nvidia/*/lib of an installed PyTorch for the same major version of CUDA.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
tests='activations combine embeddings gru losses low_pass norms ops pool training networks'
usage() { sed -n '2,6s/^# //p' "$0" >&2; exit 2; }
[ $# -ge 2 ] || usage
dir=$2

case $1 in
build)
  mkdir -p "$dir"
  executables() { grep -o '"executable":"[^"]*"' | cut -d'"' -f4; }
  cargo test --release --no-run -p sndpipe-nn --features test-cuda --message-format json | executables |
    while read -r file; do cp "$file" "$dir/$(basename "$file" | sed 's/-[0-9a-f]*$//')"; done
  file=$(cargo bench --no-run -p sndpipe-nn --features cuda --message-format json | grep train_step | executables)
  cp "$file" "$dir/train_step"
  ;;
run)
  dir=$(cd "$dir" && pwd)
  export CARGO_MANIFEST_DIR=$PWD/nn
  failed=0
  for test in sndpipe_nn $tests; do
    printf '== %s\n' "$test"
    (cd nn && "$dir/$test") || failed=1
  done
  networks=${3:-vgg41_plain vgg41 vgg_like resnet18 crnn}
  for network in $networks; do
    for batch in ${4:-32 128}; do
      for mode in train infer; do
        "$dir/train_step" "$network" "$batch" "$mode" cuda
        if python -c 'import torch' 2>/dev/null; then
          python benches/peers/training.py "$network" "$batch" "$mode" --device cuda
        fi
      done
    done
  done
  for network in $networks; do
    printf '== ten steps of %s at batch 32: kernel, runs, milliseconds\n' "$network"
    "$dir/train_step" "$network" 32 profile cuda
    if command -v nsys >/dev/null; then
      nsys profile --force-overwrite true --stats true -o "$dir/$network" "$dir/train_step" "$network" 32 train cuda
    fi
  done
  exit "$failed"
  ;;
*) usage ;;
esac
