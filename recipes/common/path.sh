# Sourced by run.sh in the root of the source tree: the interpreter, and this tree's `asr`.
# A recipe that needs something else has a file of its own in place of the link to this one.
[ -z "${VIRTUAL_ENV:-}" ] && [ -f .venv/bin/activate ] && . .venv/bin/activate
export PYTHONPATH=.${PYTHONPATH:+:$PYTHONPATH}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$(nproc)}
