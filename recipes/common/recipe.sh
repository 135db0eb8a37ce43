# Sourced by every run.sh: strict options, numbered stages, and stages that are done once.
#
# The recipe sets `stages` (the numbers that there are), `options` and `switches` (their names), and a
# variable with the default of each; then it calls `parse_options "$@"`.

fail() { echo "run.sh: $*" >&2; exit 1; }
misuse() { echo "run.sh: $*; try --help" >&2; exit 2; }

# The comment at the top of the recipe.
usage() { sed -n '2,/^[^#]/{s/^# \{0,1\}//p}' "$recipe/run.sh"; }

# --some-name VALUE sets some_name for the names in `options`; --name alone those in `switches` to true.
parse_options() {
    local name
    while [ $# -gt 0 ]; do
        case "$1" in
            -h | --help) usage; exit 0 ;;
            --?*) name=${1#--} ;;
            *) misuse "there are no arguments, only options: $1" ;;
        esac
        if [[ " ${switches[*]:-} " == *" $name "* ]]; then
            printf -v "${name//-/_}" true
            shift
        elif [[ " ${options[*]} " == *" $name "* ]]; then
            [ $# -gt 1 ] && [[ $2 != --* ]] || misuse "--$name needs a value"
            printf -v "${name//-/_}" '%s' "$2"
            shift 2
        else
            misuse "there is no option --$name"
        fi
    done
    for name in "$stage" "$stop_stage"; do
        [[ " ${stages[*]} " == *" $name "* ]] || misuse "there is no stage $name: there are ${stages[*]}"
    done
    [ "$stage" -le "$stop_stage" ] || misuse "stage $stage comes after the last one, $stop_stage"
}

# quoted WORD...: each behind a space, as one would type it.
quoted() {
    local word
    for word in "$@"; do
        [[ $word == *[[:space:]]* ]] && printf " '%s'" "$word" || printf ' %s' "$word"
    done
}

# whole NAME: the option is a positive whole number.
whole() {
    local value=${1//-/_}
    [[ ${!value} =~ ^[1-9][0-9]{0,8}$ ]] || misuse "--$1 takes a positive whole number, not ${!value}"
}

# from_here PATH: as the caller named it, before the recipe went to the root of the tree.
from_here() { case "$1" in /*) echo "$1" ;; *) realpath -sm "$caller/$1" ;; esac; }

wanted() { [ "$stage" -le "$1" ] && [ "$1" -le "$stop_stage" ]; }

# once NAME OPTIONS... -- COMMAND...: see `asr stage`.
once() {
    local name=$1
    shift
    python -m asr stage --name "$name" --marks "$work/marks" "$@"
}

# configured FILE: its lines as words in the array `config`, without comments and empty lines.
configured() {
    [ -f "$1" ] || fail "$1 is missing"
    mapfile -t config < <(sed 's/#.*//' "$1" | tr -s ' \t' '\n' | sed '/^$/d')
}

# The sounds of a data directory, in the array `sounds`.
sounds_of() { mapfile -t sounds < <(cut -d' ' -f2- "$1/wav.scp"); }
