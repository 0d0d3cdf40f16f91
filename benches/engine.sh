#!/usr/bin/env bash
# engine.sh WORK [STAGES] [FILES]: the engine beside DVC and Snakemake in one run. Needs hyperfine, jq, git and python3; dvc and snakemake on PATH;
# SNDPIPE names the program (default target/release/sndpipe). Prints one line a measurement: tool, what, median, least and most seconds.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$1 stages=${2:-1000} files=${3:-2000}
sndpipe=$(realpath "${SNDPIPE:-$here/../target/release/sndpipe}")
export DVC_NO_ANALYTICS=1
mkdir -p "$work" && work=$(realpath "$work")

measure() { # tool what runs prepare command
  hyperfine -N --warmup 1 --runs "$3" ${4:+--prepare "$4"} --export-json "$work/one.json" "$5" >/dev/null
  jq -r --arg head "$1	$2" '.results[0] | "\($head)\t\(.median)\t\(.min)\t\(.max)"' "$work/one.json"
}
dvc_init() { git init -q . && git config user.email bench@example.org && git config user.name bench && dvc init -q && dvc config core.analytics false; }

python3 "$here/peers/stages.py" "$stages" "$work/stages"
bump="python3 $here/peers/stages.py --bump $work/stages"
cd "$work/stages/sndpipe"
"$sndpipe" run sweep.yaml >/dev/null 2>&1
measure sndpipe "$stages stages, nothing to do" 20 '' "$sndpipe run sweep.yaml"
measure sndpipe "$stages stages, one parameter changed (five stages run)" 5 "$bump" "$sndpipe run sweep.yaml"
measure sndpipe "$stages stages, plan after one parameter changed" 5 "$bump" "$sndpipe plan sweep.yaml"
cd "$work/stages/snakemake"
snakemake -c2 --quiet all >/dev/null 2>&1
measure snakemake "$stages stages, nothing to do" 3 '' 'snakemake -c2 --quiet all'
measure snakemake "$stages stages, one parameter changed (five stages run)" 3 "$bump" 'snakemake -c2 --quiet all'
if [ "$stages" -le 100 ]; then # DVC takes minutes for more
  cd "$work/stages/dvc" && dvc_init
  dvc repro -q
  measure dvc "$stages stages, nothing to do" 3 '' 'dvc repro -q'
  measure dvc "$stages stages, one parameter changed (five stages run)" 3 "$bump" 'dvc repro -q'
fi

python3 "$here/peers/clips.py" "$files" "$work/files"
touch="find $work/files -name *.wav -exec touch {} +"
cd "$work/files/sndpipe"
"$sndpipe" run files.yaml >/dev/null 2>&1
measure sndpipe "$files files, nothing to do" 20 '' "$sndpipe run files.yaml"
measure sndpipe "$files files, all touched" 3 "$touch" "$sndpipe run files.yaml"
for tool in snakemake dvc; do
  mv "$work/files/data" "$work/files/$tool/data" && cd "$work/files/$tool"
  if [ $tool = dvc ]; then dvc_init; job='dvc repro -q'; else job='snakemake -c2 --quiet all'; fi
  $job >/dev/null 2>&1
  measure $tool "$files files, nothing to do" 5 '' "$job"
  measure $tool "$files files, all touched" 3 "$touch" "$job"
  mv data "$work/files/data"
done
