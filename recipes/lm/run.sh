#!/usr/bin/env bash
# Build the Korean language model that ships in data/lm, from the collected texts.
#   bash recipes/lm/run.sh [SHARED] [WORK]
# SHARED (default ../shared) holds text/ and speech/; WORK (default build/lm) gets what lies between.
# One core, about two minutes, 3 GB of memory. Needs the `asr` of this source tree on the path.
set -euo pipefail
cd "$(dirname "$0")/../.."
shared=${1:-../shared}
work=${2:-build/lm}
export PYTHONPATH=. OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

python recipes/lm/prepare.py "$shared/text" "$shared/speech" "$work"
python -m asr train-lm --order 6 --prune 5e-9 \
  --text "$work"/{reviews,intents,requests,chat,books,tales,news,general}.txt \
  --words "$work"/{subtitles,names}.tsv \
  --dev "$work"/dev.{emotiontts,pansori}.txt \
  --licence "CC BY-SA 4.0" \
  --attribution "$(cat data/lm/ATTRIBUTION)" \
  --output data/lm/ko-syllable.lm
