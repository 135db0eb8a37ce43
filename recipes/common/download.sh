#!/usr/bin/env bash
# One folder of a public git repository, without its history.
#   bash recipes/common/download.sh URL PART OUT
# OUT appears whole or not at all. Needs git 2.25 or newer, and git-lfs where the repository uses it.
set -euo pipefail
[ $# -eq 3 ] || { echo "download.sh: usage: download.sh URL PART OUT" >&2; exit 2; }
url=$1 part=$2 out=$3 partial=$3.partial
command -v git > /dev/null || { echo "download.sh: install git, or give --corpus DIR" >&2; exit 1; }
mkdir -p "$(dirname "$out")"
rm -rf "$partial"
export GIT_TERMINAL_PROMPT=0
if ! git clone --quiet --depth 1 --filter=blob:none --sparse "$url" "$partial" ||
    ! git -C "$partial" sparse-checkout set "$part"; then
    rm -rf "$partial"
    echo "download.sh: $url cannot be fetched: see whether this machine reaches it, or give" \
        "--corpus DIR with a copy of the corpus" >&2
    exit 1
fi
if [ ! -d "$partial/$part" ]; then
    rm -rf "$partial"
    echo "download.sh: $url has no folder $part any more: give --corpus DIR with a copy" >&2
    exit 1
fi
rm -rf "$partial/.git"
mv "$partial" "$out"
