#!/usr/bin/env bash
# Train language models of the same texts over different units, at equal numbers of n-grams, to
# compare them: by perplexity per jamo here, and by error rates in recognition.
#   bash recipes/lm/inventories.sh [WORK] [SIZES...]
# WORK (default build/lm) holds the texts that run.sh prepared, and gets the models. SIZES (default
# 2000000 7600000) are numbers of n-grams. About two minutes and 3 GB of memory for each model.
# Needs malsori[lm], and the `asr` of this source tree on the path.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=${1:-build/lm}
shift || true
sizes=("$@")
[ $# -gt 0 ] || sizes=(2000000 7600000)
export PYTHONPATH=. OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

train() {  # UNITS NUM_UNITS ORDER
  for size in "${sizes[@]}"; do
    local options=(--units "$1")
    [ "$2" = 0 ] || options+=(--num-units "$2")
    python -m asr train-lm "${options[@]}" --order "$3" --size "$size" \
      --text "$work"/{reviews,intents,requests,chat,books,tales,news,general}.txt \
      --words "$work"/{subtitles,names}.tsv \
      --dev "$work"/dev.{emotiontts,pansori}.txt \
      --licence "CC BY-SA 4.0" \
      --attribution "$(cat data/lm/ATTRIBUTION)" \
      --output "$work/$1-$2-$3g-$size.lm"
  done
}

train syllable 0 6
train subword 4000 5
train subword 16000 4
train bpe 4000 5
train morph 16000 4
train eojeol 40000 3
for model in "$work"/*-*g-*.lm; do
  echo "$model"
  python -m asr lm-ppl "$model" "$work"/dev.{emotiontts,pansori}.txt
done
