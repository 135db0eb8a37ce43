#!/usr/bin/env bash
# Everything that must hold: style, types, tests. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/environment.sh
use_environment test,dev

ruff check
mypy
python -m pytest -q "$@"
