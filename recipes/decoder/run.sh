#!/usr/bin/env bash
# What each part of the decoder brings: RESULTS.md, made anew.
#   bash recipes/decoder/run.sh [--stage N] [--stop-stage M] [--shared DIR] [--work DIR] [--split S]
# Stage 0 checks the data, 1 prepares the texts, 2 trains the language models that are compared,
# 3 recognises with every variant, 4 writes RESULTS.md. Two cores, about an hour, 10 GB of memory.
# What is done already is not done again; delete it from WORK (default build/decoder) to repeat it.
set -euo pipefail
cd "$(dirname "$0")/../.."

stage=0
stop_stage=4
shared=../shared
work=build/decoder
split=test
while [ $# -gt 0 ]; do
    case "$1" in
        --stage | --stop-stage | --shared | --work | --split)
            [ $# -gt 1 ] || { echo "run.sh: $1 needs a value" >&2; exit 2; }
            name=${1#--}
            printf -v "${name//-/_}" '%s' "$2"
            shift 2 ;;
        -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) echo "run.sh: unknown option $1; try --help" >&2; exit 2 ;;
    esac
done
for number in "$stage" "$stop_stage"; do
    [[ $number =~ ^[0-4]$ ]] || { echo "run.sh: stages are numbered 0 to 4, not $number" >&2; exit 2; }
done
export PYTHONPATH=. OMP_NUM_THREADS=1
texts=$work/text

# Runs a command with its output in a log that begins with the command.
logged() {
    local log=$1
    shift
    mkdir -p "$(dirname "$log")"
    echo "# $*" > "$log"
    "$@" >> "$log" 2>&1 || { echo "run.sh: failed: $*; see $log" >&2; tail -n 5 "$log" >&2; exit 1; }
}

# Trains FILE (in $work) with the options given, unless it is there.
train_lm() {
    local file=$work/$1.lm
    shift
    [ -f "$file" ] && return
    logged "$work/log/$(basename "$file").log" python -m asr train-lm "$@" --output "$file" \
        --text "$texts"/{reviews,intents,requests,chat,books,tales,news,general}.txt \
        --words "$texts"/{subtitles,names}.tsv --dev "$texts"/dev.{emotiontts,pansori}.txt
}

if [ "$stage" -le 0 ] && [ "$stop_stage" -ge 0 ]; then
    for need in text/nsmc_movie_reviews.txt.xz text/entities.tsv.xz speech/splits.json; do
        [ -f "$shared/$need" ] || { echo "run.sh: $shared/$need is missing: give --shared" >&2; exit 1; }
    done
fi
if [ "$stage" -le 1 ] && [ "$stop_stage" -ge 1 ] && [ ! -f "$texts/.done" ]; then
    logged "$work/log/prepare.log" \
        python recipes/lm/prepare.py "$shared/text" "$shared/speech" "$texts"
    touch "$texts/.done"
fi
if [ "$stage" -le 2 ] && [ "$stop_stage" -ge 2 ]; then
    train_lm syllable-2M --order 6 --size 2000000
    train_lm syllable-500k --order 6 --size 500000
    train_lm syllable-large --order 7
    train_lm subword4k --units subword --num-units 4000 --order 5 --size 7600000
    train_lm subword16k --units subword --num-units 16000 --order 4 --size 7600000
    train_lm morph16k --units morph --num-units 16000 --order 4 --size 7600000
    train_lm eojeol40k --units eojeol --num-units 40000 --order 3 --size 7600000
fi
if [ "$stage" -le 3 ] && [ "$stop_stage" -ge 3 ]; then
    for corpus in emotiontts pansori; do
        logged "$work/log/$corpus.$split.log" python recipes/decoder/ablate.py decode \
            --corpus "$corpus" --split "$split" --root "$shared/speech" --lms "$work" \
            --output "$work/$corpus.$split.json" &
    done
    for job in $(jobs -p); do wait "$job"; done
fi
if [ "$stage" -le 4 ] && [ "$stop_stage" -ge 4 ]; then
    python recipes/decoder/ablate.py table "$work"/{emotiontts,pansori}."$split".json \
        > recipes/decoder/RESULTS.md.partial
    mv recipes/decoder/RESULTS.md.partial recipes/decoder/RESULTS.md
fi
