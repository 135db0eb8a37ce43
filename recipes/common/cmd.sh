# Sourced by run.sh: words put before the commands of a kind. Empty runs them here; with Slurm it
# could be train_cmd="srun --cpus-per-task=8 --gres=gpu:1" (the work folder must be shared then).
train_cmd=${train_cmd:-}
decode_cmd=${decode_cmd:-}
