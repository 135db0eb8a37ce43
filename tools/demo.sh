#!/usr/bin/env bash
# Recognise the sample recordings, real sentences where a corpus is beside the source tree, and any
# sound files given as arguments.
set -euo pipefail
case "${1:-}" in
    -h | --help)  # told before anything is installed
        sed -n '2,3s/^# //p' "$0"
        echo "  bash tools/demo.sh [--model MODEL] [FILE...]"
        exit ;;
esac
here=$PWD
cd "$(dirname "$0")/.."
. tools/environment.sh
use_environment
python tools/demo.py --base "$here" "$@"
