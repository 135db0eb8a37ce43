"""The training loop: one for every network and objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from asr.progress import Progress, silent
from asr.training.config import TrainConfig
from asr.training.distributed import joined_world
from asr.training.evaluation import Evaluation
from asr.training.objective import Objective
from asr.training.run import Run
from asr.training.snapshot import Snapshot, call
from asr.training.source import BatchSource


@dataclass(frozen=True, slots=True)
class Summary:
    """How a training went.

    Attributes:
        step: steps made, in all runs together.
        epoch: epochs finished.
        stopped: why before the end; "" if at it.
        metrics: of the weights that the network holds now, as ``set/name``.
        chosen_step: the step whose weights those are; −1 for the mean of several.
        bad_steps: steps that were skipped for a loss or gradient that was not finite.
        failed: how often an utterance could not be used.
        seconds: of training, in all runs together.
    """

    step: int
    epoch: int
    stopped: str
    metrics: dict[str, float]
    chosen_step: int
    bad_steps: int
    failed: int
    seconds: float


def train(
    network: nn.Module,
    objective: Objective,
    batches: BatchSource,
    dev: Mapping[str, Evaluation],
    config: TrainConfig,
    folder: str | Path,
    progress: Progress = silent,
    device: torch.device | str = "cpu",
    description: Mapping[str, Any] | None = None,
) -> Summary:
    """Train a network; go on where ``folder`` says that an earlier run stopped.

    A killed run that goes on ends with the same weights, bit by bit, as one never interrupted (on
    the same number of processes and kind of machine). Under ``torchrun`` every process calls this
    with the same arguments; process 0 writes.

    Args:
        network: trained in place. Methods that it may have: ``set_dropout(proportion)``,
            ``constrain()`` (called after every ``constrain_every``-th step),
            ``set_batch_norm_world(world)``, ``parameter_names()`` (torch's names to those that the
            option ``rates`` speaks of).
        objective: an ``nn.Module`` if it has parameters of its own.
        batches: of the training set.
        dev: evaluated before, during and after the training, by process 0.
        config: options.
        folder: gets ``checkpoints/``, ``train.log``, ``metrics.jsonl``, curves, and at the end
            ``final.safetensors``, the network's state.
        progress: is told how far it is.
        device: "cpu" or "cuda".
        description: JSON about the network and the data that a checkpoint keeps, and that must be
            the same when a run goes on.

    Returns:
        a summary; the network then holds the best, the averaged or the last weights, as the
        options say, in evaluation mode.

    Raises:
        UsageError: options that make no sense here.
        DataError: no batch had anything to learn from.
        ModelError: checkpoints of another network, or all damaged.
        AsrError: losses that are not finite time and again, a full disk, a lost process.
    """
    with joined_world(device) as world, torch.random.fork_rng():
        network.to(world.device)
        batches.shard(world.rank, world.size)
        snapshot = Snapshot(network, objective, batches, config, description or {}, world)
        run = Run(snapshot, dev, Path(folder), progress, world)
        if config.sync_batch_norm and world.size > 1:
            call(network, "set_batch_norm_world", world)
        try:
            step, metrics = run.whole()
        finally:
            run.close()
            snapshot.release()
            call(network, "set_batch_norm_world", None)
    counters = snapshot.counters
    return Summary(
        step=counters.step,
        epoch=counters.epoch,
        stopped=run.stopped,
        metrics=metrics,
        chosen_step=step,
        bad_steps=counters.bad_steps,
        failed=counters.failed,
        seconds=counters.seconds,
    )
