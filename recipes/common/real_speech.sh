# Sourced by the recipes on published corpora, which set `title` and `corpora` (names that
# `asr data from-corpus` knows). Stages: 0 corpus, 1 data, 2 adapt an imported Kaldi model, 10 monophones,
# 11 triphones, 12 LDA+MLLT, 13 SAT, 14 DNN by cross-entropy, 20 i-vector extractor, 21 TDNN-F by LF-MMI, 22 pre-trained
# encoder by LF-MMI, 23 a wider search for it, 30 decode, 31 score, 40 RESULTS.md.
. recipes/common/recipe.sh
. recipes/common/systems.sh
stages=(0 1 2 10 11 12 13 14 20 21 22 23 30 31 40)
options=(stage stop-stage corpus work nj device init guard phone-text pretrain untranscribed sets systems conf limit-utterances results)
stage=0 stop_stage=40
corpus='' work=build/${recipe#recipes/}
nj=2 device=cpu init=ko-kaldi guard='' phone_text='' pretrain=none untranscribed=''
sets="dev test" systems=$known_systems conf=$recipe/conf limit_utterances='' results=$recipe/RESULTS.md
command="bash $recipe/run.sh$(quoted "$@")"
parse_options "$@"
whole nj
[ -z "$limit_utterances" ] || whole limit-utterances
check_choices
[[ $device =~ ^(cpu|cuda(:[0-9]+)?)$ ]] || misuse "--device takes cpu, cuda or cuda:N, not $device"
[[ $pretrain =~ ^(none|rbm|autoencoder|masked)$ ]] ||
    misuse "--pretrain takes none, rbm, autoencoder or masked, not $pretrain"
[ -z "$untranscribed" ] || [ "$pretrain" != none ] || misuse "--untranscribed is for --pretrain"
[ "$work" = "build/${recipe#recipes/}" ] || work=$(from_here "$work")
[ "$conf" = "$recipe/conf" ] || conf=$(from_here "$conf")
[ "$results" = "$recipe/RESULTS.md" ] || results=$(from_here "$results")
[ -z "$corpus" ] || corpus=$(from_here "$corpus")
[ -z "$guard" ] || guard=$(from_here "$guard")
[ -z "$untranscribed" ] || untranscribed=$(from_here "$untranscribed")
[ -z "$phone_text" ] || phone_text=$(from_here "$phone_text")
[ -z "$phone_text" ] || [ -f "$phone_text" ] || fail "--phone-text $phone_text: no such file"
. "$recipe/path.sh"
. "$recipe/cmd.sh"
data=$work/data exp=$work/exp

declare -A url=(
    [emotiontts]=https://github.com/emotiontts/emotiontts_open_db
    [pansori]=https://github.com/yc9701/pansori-tedxkr-corpus
)
declare -A part=([emotiontts]=Dataset/SpeechCorpus [pansori]=data)
declare -A licence=([emotiontts]="CC BY-NC-SA 4.0" [pansori]="CC BY-NC-ND 4.0")

# Where a corpus is: what the user gave, or what stage 0 downloads.
root_of() { echo "${corpus:-$work/corpus/$1}"; }

make_data() {
    local name=$1 set=$2 whole=$data/$1/all-$2 out=$data/$1/$2
    once "data-$name-$set" --input "recipes/$name/splits.json" --listed "$(root_of "$name")" \
        --output "$whole" -- python -m asr data from-corpus "$name" "$(root_of "$name")" "$whole" \
        --splits "recipes/$name/splits.json" --split "$set" --force
    if [ -n "$limit_utterances" ]; then
        once "subset-$name-$set" --input "$whole" --output "$out" -- \
            python -m asr data subset "$whole" "$out" --size "$limit_utterances" --order first --force
    else
        once "subset-$name-$set" --input "$whole" --output "$out" -- cp -rT "$whole" "$out"
    fi
    once "validate-$name-$set" --input "$out" -- python -m asr data validate "$out" --no-feats
}

# Utterances of a set whose transcripts have neither digits nor Latin letters: nothing was read out.
make_plain() {
    local name=$1 set=$2 raw=$data/$1/raw-$2
    once "raw-$name-$set" --input "recipes/$name/splits.json" --listed "$(root_of "$name")" \
        --output "$raw" -- python -m asr data from-corpus "$name" "$(root_of "$name")" "$raw" \
        --splits "recipes/$name/splits.json" --split "$set" --text transcript --force
    once "plain-$name-$set" --input "$raw/text" --stdout "$data/$name/$set.plain" -- \
        awk '{id = $1; $1 = ""} !/[0-9A-Za-z]/ {print id}' "$raw/text"
}

name_data
trial=$limit_utterances lm=''

if wanted 0; then
    for name in "${corpora[@]}"; do
        if [ -n "$corpus" ]; then
            [ -d "$corpus" ] || fail "--corpus $corpus: no such folder"
        else
            once "corpus-$name" --output "$(root_of "$name")" -- bash recipes/common/download.sh \
                "${url[$name]}" "${part[$name]}" "$(root_of "$name")"
        fi
    done
fi

if wanted 1; then
    for name in "${corpora[@]}"; do
        for set in train dev test; do make_data "$name" "$set"; done
        if [ "$name" = pansori ]; then # its references hold digits and Latin letters
            for set in dev test; do make_plain "$name" "$set"; done
        fi
    done
    for name in "${train[@]}"; do
        marked=${name//\//-}
        once "leaks-${marked#"${data//\//-}"-}" --input "$name" "${tests[@]/#/--input=}" \
            ${phone_text:+--input "$phone_text"} -- python -m asr data leaks "$name" \
            --test "${tests[@]}" ${phone_text:+--text "$phone_text"}
    done
fi

# Of models that are trained on the speech.
terms=$(for name in "${corpora[@]}"; do echo "${licence[$name]} (${url[$name]})"; done | paste -sd';')

if wanted 2; then
    configured "$conf/adapt.conf"
    once adapt "${inputs[@]}" "${dev[@]/#/--input=}" ${phone_text:+--input "$phone_text"} \
        ${guard:+--input "$guard"} --output "$exp/adapted" --scratch "$exp/adapted.work" -- \
        $train_cmd python -m asr train "${train[@]}" "$exp/adapted" --init "$init" \
        --dev "${dev[@]}" ${guard:+--guard "$guard"} ${phone_text:+--phone-text "$phone_text"} \
        --licence "$terms" --attribution "$title" --device "$device" --threads "$nj" "${config[@]}"
fi

if wanted 10; then gmm mono; fi
if wanted 11; then gmm tri mono; fi
if wanted 12; then gmm lda tri; fi
if wanted 13; then gmm sat lda; fi

# What networks are pre-trained on beside the training speech: a data directory without texts.
untranscribed=(${untranscribed:+"$untranscribed"})
if wanted 14; then
    given=()
    if [[ $pretrain =~ ^(rbm|autoencoder)$ ]]; then
        inputs+=("${untranscribed[@]/#/--input=}")
        given=(--pretrain "$pretrain" ${untranscribed:+--untranscribed "${untranscribed[@]}"})
    fi
    dnn sat --licence "$terms" --attribution "$title" "${given[@]}"
fi

if wanted 20; then ivectors; fi
if wanted 21; then
    [ "$pretrain" != masked ] || masked "${untranscribed[@]/#/--input=}"
    chain sat --licence "$terms" --attribution "$title" ${phone_text:+--phone-text "$phone_text"}
fi
if wanted 22; then
    encoder sat --licence "$terms" --attribution "$title" ${phone_text:+--phone-text "$phone_text"}
fi
if wanted 23; then wide encoder; fi
if wanted 30; then each decode; fi
if wanted 31; then each score; fi

if wanted 40; then write_results "$title"; fi
