#!/usr/bin/env bash
# engine.sh WORK [STAGES...]: the engine beside DVC and Snakemake in one run (default: 1000 and 10000 stages, and 2,000 files). Needs hyperfine, jq,
# git and python3; dvc and snakemake on PATH; SNDPIPE names the program (default target/release/sndpipe). Prints one line a measurement: tool,
# what, median, least and most seconds, peak memory in MB.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$1 files=2000
sizes=("${@:2}")
[ ${#sizes[@]} -gt 0 ] || sizes=(1000 10000)
sndpipe=$(realpath "${SNDPIPE:-$here/../target/release/sndpipe}")
export DVC_NO_ANALYTICS=1
mkdir -p "$work" && work=$(realpath "$work")

measure() { # tool what runs prepare command
  hyperfine -N --warmup 1 --runs "$3" ${4:+--prepare "$4"} --export-json "$work/one.json" "$5" >/dev/null
  ${4:-true}
  /usr/bin/time -f %M -o "$work/one.kb" $5 >/dev/null 2>&1
  jq -r --arg head "$1	$2" --arg mb "$(($(tail -n 1 "$work/one.kb") / 1000))" \
    '.results[0] | "\($head)\t\(.median)\t\(.min)\t\(.max)\t\($mb) MB"' "$work/one.json"
}
dvc_init() { git init -q . && git config user.email bench@example.org && git config user.name bench && dvc init -q && dvc config core.analytics false; }

for stages in "${sizes[@]}"; do
  root=$work/stages-$stages
  python3 "$here/peers/stages.py" "$stages" "$root"
  bump="python3 $here/peers/stages.py --bump $root"
  cd "$root/sndpipe"
  "$sndpipe" run sweep.yaml >/dev/null 2>&1
  measure sndpipe "$stages stages, nothing to do" 20 '' "$sndpipe run sweep.yaml"
  measure sndpipe "$stages stages, plan" 20 '' "$sndpipe plan sweep.yaml"
  measure sndpipe "$stages stages, one parameter changed (five stages run)" 5 "$bump" "$sndpipe run sweep.yaml"
  measure sndpipe "$stages stages, plan after one parameter changed" 5 "$bump" "$sndpipe plan sweep.yaml"
  cd "$root/snakemake"
  if [ "$stages" -le 2000 ]; then
    snakemake -c2 --quiet all >/dev/null 2>&1
    measure snakemake "$stages stages, nothing to do" 3 '' 'snakemake -c2 --quiet all'
    measure snakemake "$stages stages, one parameter changed (five stages run)" 3 "$bump" 'snakemake -c2 --quiet all'
  else # running them all takes most of an hour: their files are written by a script and declared to be up to date
    python3 "$here/peers/stages.py" --outputs "$root"
    snakemake -c2 --quiet all --touch >/dev/null 2>&1
    measure snakemake "$stages stages, nothing to do" 1 '' 'snakemake -c2 --quiet all'
  fi
  if [ "$stages" -le 100 ]; then # DVC takes minutes for more
    cd "$root/dvc" && dvc_init
    dvc repro -q
    measure dvc "$stages stages, nothing to do" 3 '' 'dvc repro -q'
    measure dvc "$stages stages, one parameter changed (five stages run)" 3 "$bump" 'dvc repro -q'
  fi
done

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
