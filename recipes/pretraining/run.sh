#!/usr/bin/env bash
# What pre-training brings where half an hour of speech is transcribed: the training speech of both
# published corpora, a quarter of it with its texts, and all of it without.
#   bash recipes/pretraining/run.sh --corpus DIR [--stage N] [--stop-stage M]
# Stages: 1 data, 10 monophones, 11 triphones, 12 LDA+MLLT, 14 perceptrons by cross-entropy: from random
# weights, with ReLU and batch norm and with sigmoids; sigmoids by RBM and by autoencoder, 20 i-vector
# extractor, 21 TDNN-Fs by LF-MMI: from random weights, by masked prediction, 30 decode, 31 score,
# 40 RESULTS.md. What is done already is skipped.
#   --corpus DIR      a folder that holds both corpora as published (recipes/korean/run.sh names them)
#   --work DIR        for all that is made (build/pretraining)
#   --minutes N       with texts, half of them of each corpus (30; other numbers are trials, whose
#                     results stay in the work folder)
#   --nj N            processor threads (2)
#   --device D        cpu, cuda or cuda:N, for networks (cpu)
#   --phone-text FILE sentences, one a line, of what else people say: helps LF-MMI
#   --systems "S..."  which are decoded: lda dnn dnn-sigmoid dnn-rbm dnn-autoencoder chain chain-masked
#   --conf DIR        options of training (recipes/pretraining/conf)
# Only the development sets are decoded: the figures choose between ways of training.
set -euo pipefail
caller=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
recipe=recipes/pretraining
corpora=(emotiontts pansori)
. recipes/common/recipe.sh
. recipes/common/systems.sh
known_systems="lda dnn dnn-sigmoid dnn-rbm dnn-autoencoder chain chain-masked"
stages=(1 10 11 12 14 20 21 30 31 40)
options=(stage stop-stage corpus work minutes nj device phone-text systems conf)
stage=1 stop_stage=40
corpus='' work=build/pretraining minutes=30 nj=2 device=cpu phone_text=''
sets=dev systems=$known_systems conf=$recipe/conf lm='' pretrain=none
command="bash $recipe/run.sh$(quoted "$@")"
parse_options "$@"
whole nj
whole minutes
check_choices
[[ $device =~ ^(cpu|cuda(:[0-9]+)?)$ ]] || misuse "--device takes cpu, cuda or cuda:N, not $device"
[ -n "$corpus" ] || misuse "--corpus is needed"
corpus=$(from_here "$corpus")
[ -d "$corpus" ] || fail "--corpus $corpus: no such folder"
[ "$work" = build/pretraining ] || work=$(from_here "$work")
[ "$conf" = "$recipe/conf" ] || conf=$(from_here "$conf")
[ -z "$phone_text" ] || phone_text=$(from_here "$phone_text")
[ -z "$phone_text" ] || [ -f "$phone_text" ] || fail "--phone-text $phone_text: no such file"
. "$recipe/path.sh"
. "$recipe/cmd.sh"
data=$work/data exp=$work/exp trial=''
[ "$minutes" = 30 ] && [ "$conf" = "$recipe/conf" ] || trial=yes
name_data

# A split of a corpus as it is published.
published() {
    local name=$1 set=$2 out=$data/$1/$3
    once "data-$name-$set" --input "recipes/$name/splits.json" --listed "$corpus" --output "$out" -- \
        python -m asr data from-corpus "$name" "$corpus" "$out" \
        --splits "recipes/$name/splits.json" --split "$set" --force
}

# The part of the training speech with its texts, in `train`, and the rest, in `rest`.
parted() {
    local name=$1 all=$data/$1/all train=$data/$1/train rest=$data/$1/rest
    once "train-$name" --input "$all" --output "$train" -- python -m asr data subset "$all" "$train" \
        --size "$((minutes * 30))s" --force
    once "list-$name" --input "$all" --input "$train" --stdout "$data/$name/rest.list" -- \
        awk 'NR == FNR {seen[$1]; next} !($1 in seen) {print $1}' "$train/text" "$all/text"
    once "rest-$name" --input "$all" --input "$data/$name/rest.list" --output "$rest" -- \
        python -m asr data subset "$all" "$rest" --list "$data/$name/rest.list" --force
}

if wanted 1; then
    for name in "${corpora[@]}"; do
        published "$name" train all
        published "$name" dev dev
        parted "$name"
    done
    for name in "${corpora[@]}"; do # all of it: nor is the speech without texts that of the sets
        once "leaks-$name" --input "$data/$name/all" "${dev[@]/#/--input=}" -- \
            python -m asr data leaks "$data/$name/all" --test "${dev[@]}"
    done
fi
if wanted 10; then gmm mono; fi
if wanted 11; then gmm tri mono; fi
if wanted 12; then gmm lda tri; fi

untranscribed=()
for name in "${corpora[@]}"; do untranscribed+=("$data/$name/rest"); done
if wanted 14; then
    dnn lda
    configured "$conf/dnn.conf"
    network dnn-sigmoid train-dnn lda --nonlinearity sigmoid
    for kind in rbm autoencoder; do
        configured "$conf/dnn.conf"
        inputs+=("${untranscribed[@]/#/--input=}")
        network "dnn-$kind" train-dnn lda --pretrain "$kind" --untranscribed "${untranscribed[@]}"
    done
fi
if wanted 20; then # speech alone: no texts are needed
    inputs+=("${untranscribed[@]/#/--input=}") train+=("${untranscribed[@]}")
    ivectors
    name_data
fi
if wanted 21; then
    text=(${phone_text:+--phone-text "$phone_text"})
    chain lda "${text[@]}"
    masked "${untranscribed[@]/#/--input=}"
    configured "$conf/chain.conf"
    inputs+=(--input "$exp/masked" --input "$exp/ivectors")
    size=()
    [ ! -f "$conf/network.json" ] || size=(--network "$conf/network.json")
    [ ${#size[@]} = 0 ] || inputs+=(--input "$conf/network.json")
    network chain-masked train lda --ivectors "$exp/ivectors" --pretrained "$exp/masked" \
        "${text[@]}" "${size[@]}"
fi
if wanted 30; then each decode; fi
if wanted 31; then each score; fi
if wanted 40; then
    write_results "What pre-training brings at half an hour of transcribed speech" \
        --gains lda,dnn dnn,dnn-sigmoid dnn-sigmoid,dnn-rbm dnn-sigmoid,dnn-autoencoder \
        chain,chain-masked \
        --note "Only the development sets are decoded, on which the best weights were chosen as well."
fi
