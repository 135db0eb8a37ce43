#!/usr/bin/env bash
# From nothing to a recogniser in minutes: synthetic speech, language model, Gaussian mixtures, LF-MMI.
#   bash recipes/mini_ko/run.sh [--stage N] [--stop-stage M] [--check]
# Stages: 0 speech by eSpeak NG (pip install 'malsori[recipes]'), 1 data checked, 2 language model,
# 10 monophones, 11 triphones, 12 LDA+MLLT, 13 SAT, 14 DNN by cross-entropy, 21 TDNN-F by LF-MMI,
# 30 decode, 31 score, 40 RESULTS.md. What is done already is skipped.
#   --check           compare with RESULTS.md instead of writing it; fail where a figure has moved
#   --work DIR        for all that is made (build/mini_ko)
#   --utterances N    in all (300; other numbers are trials, whose results stay in the work folder)
#   --nj N            processor threads (2)
#   --sets "S..."     what is decoded: "dev test"
#   --systems "S..."  which are decoded: "mono tri lda sat dnn chain"
#   --conf DIR        options of the systems (recipes/mini_ko/conf)
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
recipe=recipes/mini_ko
corpora=(mini_ko)
. recipes/common/recipe.sh
. recipes/common/systems.sh
known_systems="mono tri lda sat dnn chain"
stages=(0 1 2 10 11 12 13 14 21 30 31 40)
options=(stage stop-stage work utterances nj sets systems conf)
switches=(check)
stage=0 stop_stage=40 check=''
work=build/mini_ko utterances=300 nj=2 sets="dev test" systems=$known_systems conf=$recipe/conf
command="bash $recipe/run.sh$(quoted "$@")"
parse_options "$@"
whole nj
whole utterances
check_choices
[ "$work" = build/mini_ko ] || work=$(from_here "$work")
[ "$conf" = "$recipe/conf" ] || conf=$(from_here "$conf")
OMP_NUM_THREADS=${OMP_NUM_THREADS:-$nj}
. "$recipe/path.sh"
. "$recipe/cmd.sh"
data=$work/data exp=$work/exp lm=$work/lm/syllable.lm
trial=''
[ "$utterances" = 300 ] && [ "$conf" = "$recipe/conf" ] || trial=yes
name_data
speech=$data/mini_ko

if wanted 0; then
    once speech --input "$recipe/local" --output "$speech" -- \
        python "$recipe/local/synthesise.py" "$speech" --utterances "$utterances" --jobs "$nj"
fi
if wanted 1; then
    for set in train dev test; do
        once "validate-$set" --input "$speech/$set" --listed "$speech/sound/$set" -- \
            python -m asr data validate "$speech/$set" --no-feats --decode
    done
    once leaks "${tests[@]/#/--input=}" "${inputs[@]}" --input "$speech/lm.txt" -- \
        python -m asr data leaks "${train[@]}" --test "${tests[@]}" --text "$speech/lm.txt"
fi
if wanted 2; then
    configured "$conf/lm.conf"
    once lm --input "$speech/lm.txt" --output "$lm" -- \
        python -m asr train-lm --text "$speech/lm.txt" --output "$lm" "${config[@]}"
fi
if wanted 10; then gmm mono; fi
if wanted 11; then gmm tri mono; fi
if wanted 12; then gmm lda tri; fi
if wanted 13; then gmm sat lda; fi
if wanted 14; then dnn sat; fi
if wanted 21; then chain sat --phone-text "$speech/lm.txt"; fi
if wanted 30; then each decode; fi
if wanted 31; then each score; fi
# Another processor rounds otherwise: between two, monophones moved by 4.4 points.
if wanted 40; then
    write_results "Synthetic speech, from nothing" ${check:+--check --tolerance 6}
fi
