#!/usr/bin/env bash
# Recognise the sample recordings, real sentences where a corpus is beside the source tree, and any
# sound files given as arguments.
set -euo pipefail
here=$PWD
cd "$(dirname "$0")/.."
. tools/environment.sh
use_environment
python tools/demo.py --base "$here" "$@"
