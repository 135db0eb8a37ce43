# Sourced by the recipes on published corpora, which set `title` and `corpora` (names that
# `asr data from-corpus` knows). Stages: 0 corpus, 1 data, 2 adapt the default model, 10 monophones,
# 11 triphones, 12 LDA+MLLT, 13 SAT, 30 decode, 31 score, 40 RESULTS.md.
. recipes/common/recipe.sh
stages=(0 1 2 10 11 12 13 30 31 40)
options=(stage stop-stage corpus work nj device init guard phone-text sets systems limit-utterances)
stage=0 stop_stage=40
corpus='' work=build/${recipe#recipes/}
nj=2 device=cpu init=ko guard='' phone_text=''
sets="dev test" systems="before adapted mono tri lda sat" limit_utterances=''
command="bash $recipe/run.sh $*"
parse_options "$@"
whole nj
[ -z "$limit_utterances" ] || whole limit-utterances
for name in $sets; do [[ $name =~ ^(dev|test)$ ]] || misuse "--sets takes dev, test or both, not $name"; done
for name in $systems; do
    [[ $name =~ ^(before|adapted|mono|tri|lda|sat)$ ]] || misuse "--systems: there is no system $name"
done
[[ $device =~ ^(cpu|cuda(:[0-9]+)?)$ ]] || misuse "--device takes cpu, cuda or cuda:N, not $device"
[ "$work" = "build/${recipe#recipes/}" ] || work=$(from_here "$work")
[ -z "$corpus" ] || corpus=$(from_here "$corpus")
[ -z "$guard" ] || guard=$(from_here "$guard")
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

# The training data of all corpora in `train`, their dev and test data in `dev` and `tests`.
train=() dev=() tests=()
for name in "${corpora[@]}"; do
    train+=("$data/$name/train")
    dev+=("$data/$name/dev")
    tests+=("$data/$name/dev" "$data/$name/test")
done
inputs=()
for name in "${train[@]}"; do inputs+=(--input "$name"); done

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
        for set in dev test; do make_plain "$name" "$set"; done
    done
    for name in "${train[@]}"; do
        marked=${name//\//-}
        once "leaks-${marked#"${data//\//-}"-}" --input "$name" "${tests[@]/#/--input=}" \
            ${phone_text:+--input "$phone_text"} -- python -m asr data leaks "$name" \
            --test "${tests[@]}" ${phone_text:+--text "$phone_text"}
    done
fi

if wanted 2; then
    configured "$recipe/conf/adapt.conf"
    terms=$(for name in "${corpora[@]}"; do echo "${licence[$name]} (${url[$name]})"; done | paste -sd';')
    once adapt "${inputs[@]}" "${dev[@]/#/--input=}" ${phone_text:+--input "$phone_text"} \
        ${guard:+--input "$guard"} --output "$exp/adapted" --scratch "$exp/adapted.work" -- \
        $train_cmd python -m asr train "${train[@]}" "$exp/adapted" --init "$init" \
        --dev "${dev[@]}" ${guard:+--guard "$guard"} ${phone_text:+--phone-text "$phone_text"} \
        --licence "$terms" --attribution "$title" --device "$device" --threads "$nj" "${config[@]}"
fi

# gmm KIND PREVIOUS: a Gaussian mixture system from the one before.
gmm() {
    local kind=$1 previous=${2:-}
    configured "$recipe/conf/$kind.conf"
    once "$kind" "${inputs[@]}" ${previous:+--input "$exp/$previous"} --output "$exp/$kind" -- \
        $train_cmd python -m asr gmm "$kind" "${train[@]}" --output "$exp/$kind" \
        ${previous:+--from "$exp/$previous"} "${config[@]}"
}
if wanted 10; then gmm mono; fi
if wanted 11; then gmm tri mono; fi
if wanted 12; then gmm lda tri; fi
if wanted 13; then gmm sat lda; fi

decode() {
    local system=$1 name=$2 set=$3 from=$data/$2/$3 text=$work/decode/$1/$2.$3.txt
    case $system in
        before | adapted)
            local model=$init
            [ "$system" = before ] || model=$exp/adapted
            sounds_of "$from"
            once "decode-$system-$name-$set" --input "$from" \
                $([ "$system" = before ] || echo --input "$model") --stdout "$text" -- \
                $decode_cmd python -m asr transcribe "${sounds[@]}" --model "$model" \
                --device "$device" --jobs "$nj" ;;
        *)
            once "decode-$system-$name-$set" --input "$from" --input "$exp/$system" \
                --output "$text" -- $decode_cmd python -m asr gmm decode "$from" \
                --system "$exp/$system" --output "$text" ;;
    esac
}

score() {
    local text=$work/decode/$1/$2.$3.txt reference=$data/$2/$3/text keep=$data/$2/$3.plain
    local out=$work/score/$1/$2.$3.json plain=$work/score/$1/$2.$3.plain
    once "score-$1-$2-$3" --input "$text" --input "$reference" --stdout "$out" -- \
        python -m asr score "$reference" "$text" --json
    for what in reference text; do
        once "plain-$what-$1-$2-$3" --input "$keep" --input "${!what}" --stdout "$plain.$what" -- \
            awk 'NR == FNR {keep[$1]; next} $1 in keep' "$keep" "${!what}"
    done
    once "score-plain-$1-$2-$3" --input "$plain.text" --input "$plain.reference" \
        --stdout "$plain.json" -- \
        python -m asr score "$plain.reference" "$plain.text" --json
}

# each FUNCTION: of every system, corpus and set.
each() {
    local system name set
    for system in $systems; do
        for name in "${corpora[@]}"; do
            for set in $sets; do "$1" "$system" "$name" "$set"; done
        done
    done
}
if wanted 30; then each decode; fi
if wanted 31; then each score; fi

if wanted 40; then
    rows=()
    row() {
        rows+=("$1=$2 $3=$work/score/$1/$2.$3.json")
        [ "$2" != pansori ] || rows+=("$1=$2 $3, nothing read out=$work/score/$1/$2.$3.plain.json")
    }
    each row
    results=$recipe/RESULTS.md # a trial's results are not the recipe's
    [ -z "$limit_utterances" ] || results=$work/RESULTS.md
    python recipes/common/results.py "$results" --title "$title" --command "$command" \
        --device "$device" --rows "${rows[@]}"
fi
