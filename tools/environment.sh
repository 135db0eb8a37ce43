# Sourced by the scripts beside it: `use_environment [EXTRAS]` activates the virtual environment
# that is active already, or else .venv, made here, with Malsori and the extras installed.

use_environment() {
    local extras=${1:-} stamp wanted
    if [ -z "${VIRTUAL_ENV:-}" ]; then
        if [ ! -x .venv/bin/python ]; then
            local python
            python=$(find_python)
            echo "Making .venv with $("$python" --version)"
            "$python" -m venv .venv
        fi
        . .venv/bin/activate
    fi
    # Installing takes minutes: it is done again only when what to install has changed.
    stamp="$VIRTUAL_ENV/.malsori-installed${extras:+-${extras//,/-}}"
    wanted=$(cat setup.cfg pyproject.toml <(pwd) | sha256sum)
    if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wanted" ]; then
        echo "Installing Malsori and its requirements${extras:+ ($extras)} in $VIRTUAL_ENV"
        tell_replaced
        python -m pip install --quiet --disable-pip-version-check -e ".${extras:+[$extras]}"
        remove_leftovers
        forget_others "$wanted"
        echo "$wanted" > "$stamp"
    fi
}

# Says which other source tree the environment runs until now: whoever works there should know.
tell_replaced() {
    local other
    other=$(sed -n 's|.*"url": *"file://\([^"]*\)".*|\1|p' \
        "$VIRTUAL_ENV"/lib/python3*/site-packages/malsori-*.dist-info/direct_url.json \
        2>/dev/null || true)
    other=$(printf '%b' "${other//%/\\x}")  # of an URL, in which letters like Hangul are %EB%A7%90
    if [ -n "$other" ] && [ "$other" != "$(pwd -P)" ]; then
        echo "It takes the place of the source tree in $other"
    fi
}

# Another source tree that shares the environment has just lost its installation, whatever extras it
# came with: its stamps must not say that it is still there.
forget_others() {
    local stamp
    for stamp in "$VIRTUAL_ENV"/.malsori-installed*; do
        if [ -f "$stamp" ] && [ "$(cat "$stamp")" != "$1" ]; then
            rm "$stamp"
        fi
    done
}

# An installation that this one replaced leaves its compiled search kernels behind, and a folder of
# them without any code would hide the source tree from Python.
remove_leftovers() {
    local folder
    for folder in "$VIRTUAL_ENV"/lib/python3*/site-packages/asr; do
        if [ -d "$folder" ] && [ ! -e "$folder/__init__.py" ]; then
            rm -r "$folder"
        fi
    done
}

find_python() {
    local name
    for name in python3.11 python3.12 python3 python; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$name"
            return
        fi
    done
    echo "Malsori needs Python 3.11 or newer on PATH" >&2
    return 1
}
