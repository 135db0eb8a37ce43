#!/usr/bin/env bash
# Everything that must hold: style, types, tests. Arguments go to pytest, as `-n 0 FILE`: in one process.
set -euo pipefail
cd "$(dirname "$0")/.."
. tools/environment.sh
use_environment test,dev

ruff check
mypy
# A process for each processor, a gigabyte or two each. Tests of a file share what they made, so they
# stay together; each process is kept to its own processor.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
python -m pytest -q -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder "$@"
