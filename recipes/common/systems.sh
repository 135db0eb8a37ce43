# Sourced by the recipes: systems trained one on the other, decoded and scored. `corpora` are the names
# of folders in $data, each with the data directories train, dev and test; systems come into $exp.

known_systems="before adapted mono tri lda sat dnn chain encoder encoder-wide"

check_choices() {
    local name
    for name in $sets; do
        [[ $name =~ ^(dev|test)$ ]] || misuse "--sets takes dev, test or both, not $name"
    done
    for name in $systems; do
        [[ " $known_systems " == *" $name "* ]] || misuse "--systems: there is no system $name"
    done
    [ -n "$sets" ] && [ -n "$systems" ] || misuse "--sets and --systems name one at least"
}

# The data of all corpora: training in `train`, development in `dev`, both of them and test in `tests`;
# the training data as options of `once` in `inputs`.
name_data() {
    local name
    train=() dev=() tests=() inputs=()
    for name in "${corpora[@]}"; do
        train+=("$data/$name/train")
        dev+=("$data/$name/dev")
        tests+=("$data/$name/dev" "$data/$name/test")
        inputs+=(--input "$data/$name/train")
    done
}

# gmm KIND PREVIOUS: a Gaussian mixture system from the one before.
gmm() {
    local kind=$1 previous=${2:-}
    configured "$conf/$kind.conf"
    once "$kind" "${inputs[@]}" ${previous:+--input "$exp/$previous"} --output "$exp/$kind" -- \
        $train_cmd python -m asr gmm "$kind" "${train[@]}" --output "$exp/$kind" \
        ${previous:+--from "$exp/$previous"} "${config[@]}"
}

# network NAME COMMAND PREVIOUS [OPTION...]: by an `asr` command, from the alignments of a GMM system.
network() {
    local name=$1 command=$2 previous=$3
    once "$name" "${inputs[@]}" "${dev[@]/#/--input=}" --input "$exp/$previous" \
        --output "$exp/$name" --scratch "$exp/$name.work" -- \
        $train_cmd python -m asr "$command" "${train[@]}" "$exp/$name" --system "$exp/$previous" \
        --dev "${dev[@]}" --device "${device:-cpu}" --threads "$nj" "${config[@]}" "${@:4}"
    name_data
}

# dnn PREVIOUS [OPTION...]: a network by cross-entropy.
dnn() {
    configured "$conf/dnn.conf"
    network dnn train-dnn "$@"
}

# A network that has guessed hidden stretches of speech, for `chain` to begin with.
masked() {
    local given=() size=$conf/network.json
    configured "$conf/masked.conf"
    [ ! -f "$size" ] || given+=(--network "$(<"$size")")
    [ ! -d "$exp/ivectors" ] || given+=(--ivector "$exp/ivectors")
    once masked "${inputs[@]}" "$@" --output "$exp/masked" --scratch "$exp/masked.work" -- \
        $train_cmd python -m asr pretrain --kind masked "${train[@]}" "${untranscribed[@]}" \
        "$exp/masked" "${given[@]}" --device "${device:-cpu}" "${config[@]}"
}

# An i-vector extractor for `chain`, which does without where there is none.
ivectors() {
    configured "$conf/ivectors.conf"
    once ivectors "${inputs[@]}" --output "$exp/ivectors" --scratch "$exp/ivectors.work" -- \
        $train_cmd python -m asr train-ivector "${train[@]}" "$exp/ivectors" "${config[@]}"
}

# chain PREVIOUS [OPTION...]: a TDNN-F by LF-MMI.
chain() {
    local given=() size=$conf/network.json masked='' name
    configured "$conf/chain.conf"
    [ "${pretrain:-none}" != masked ] || masked=$exp/masked
    [ ! -f "$size" ] || given+=(--network "$size")
    [ ! -d "$exp/ivectors" ] || given+=(--ivectors "$exp/ivectors")
    [ -z "$lm" ] || given+=(--lm "$lm")
    [ -z "$masked" ] || given+=(--pretrained "$masked")
    for name in "$size" "$exp/ivectors" "$masked" "$lm"; do
        [ -z "$name" ] || [ ! -e "$name" ] || inputs+=(--input "$name")
    done
    network chain train "$@" "${given[@]}"
}

# encoder PREVIOUS [OPTION...]: the upper layers of a pre-trained encoder by LF-MMI.
encoder() {
    local given=() size=$conf/encoder.json
    configured "$conf/encoder.conf"
    [ ! -f "$size" ] || { given+=(--network "$size"); inputs+=(--input "$size"); }
    network encoder train "$@" "${given[@]}"
}

# wide SYSTEM: its model with a search that looks farther, as SYSTEM-wide.
wide() {
    configured "$conf/wide.conf"
    once "$1-wide" --input "$exp/$1" --output "$exp/$1-wide" -- \
        python -m asr graph "$exp/$1" "$exp/$1-wide" "${config[@]}"
}

# decode SYSTEM CORPUS SET; GMMs take the language model `lm`, or the shipped one where that is empty.
decode() {
    local system=$1 name=$2 set=$3 from=$data/$2/$3 text=$work/decode/$1/$2.$3.txt
    case $system in
        before | adapted | chain* | encoder*)
            local model=$exp/$system of=(--input "$exp/$system")
            [ "$system" != before ] || model=$init of=()
            sounds_of "$from"
            once "decode-$system-$name-$set" --input "$from" "${of[@]}" --stdout "$text" -- \
                $decode_cmd python -m asr transcribe "${sounds[@]}" --model "$model" \
                --device "${device:-cpu}" --jobs "$nj" ;;
        *)
            local options=$conf/decode.conf kind=${system%%-*} # dnn-rbm is a dnn
            [ ! -f "$conf/decode-$kind.conf" ] || options=$conf/decode-$kind.conf
            configured "$options"
            once "decode-$system-$name-$set" --input "$from" --input "$exp/$system" \
                ${lm:+--input "$lm"} --output "$text" -- $decode_cmd python -m asr gmm decode \
                "$from" --system "$exp/$system" ${lm:+--lm "$lm"} --output "$text" \
                "${config[@]}" ;;
    esac
}

# score SYSTEM CORPUS SET; where there is a list SET.plain of utterances, those on their own too.
score() {
    local text=$work/decode/$1/$2.$3.txt reference=$data/$2/$3/text keep=$data/$2/$3.plain
    local out=$work/score/$1/$2.$3.json plain=$work/score/$1/$2.$3.plain
    once "score-$1-$2-$3" --input "$text" --input "$reference" --stdout "$out" -- \
        python -m asr score "$reference" "$text" --json
    [ -f "$keep" ] || return 0
    local what
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

# write_results TITLE [OPTION...]: the table; options go to results.py.
write_results() {
    local rows=() system name set results=${results:-$recipe/RESULTS.md}
    row() {
        local file=$work/score/$1/$2.$3
        rows+=("$1=$2 $3=$file.json")
        [ ! -f "$file.plain.json" ] || rows+=("$1=$2 $3, nothing read out=$file.plain.json")
    }
    each row
    [ -z "${trial:-}" ] || results=$work/RESULTS.md # a trial's results are not the recipe's
    # all stages make the results, in however many runs
    python recipes/common/results.py "$results" --title "$1" \
        --command "$(sed -E 's/ --(stop-)?stage [0-9]+//g' <<<"$command")" \
        --device "${device:-cpu}" --gains before,adapted mono,tri,lda,sat,dnn,chain,encoder,encoder-wide --rows "${rows[@]}" "${@:2}"
}
