"""How good the network is while it learns, which weights to keep, and when to stop."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import asdict, dataclass, replace

import torch
from torch import nn

from asr.errors import UsageError
from asr.training.batch import Batch
from asr.training.config import TrainConfig
from asr.training.objective import Objective


@dataclass(frozen=True, slots=True, eq=False)
class DevSet:
    """Utterances on which an objective is evaluated.

    Attributes:
        batches: iterated over anew each time.
        objective: what is measured, as in training.
    """

    batches: Iterable[Batch | None]
    objective: Objective


DEV, GUARD, NOISY = "dev", "guard", "noisy"
"""Names of the set whose best weights are kept, of what must not be forgotten, and of the first in
noise and rooms, which is reported."""
Evaluation = DevSet | Callable[[nn.Module], Mapping[str, float]]
"""A set, or a function of the network (in evaluation mode) that returns numbers, such as a CER."""


def watching(training: TrainConfig, sets: Container[str]) -> TrainConfig:
    """The options, with the dev set's loss watched and the guard's guarded, where there are any."""
    watch = training.watch or (f"{DEV}/loss" if DEV in sets else "")
    guard = training.guard or (f"{GUARD}/loss" if GUARD in sets else "")
    return replace(training, watch=watch, guard=guard)


def evaluate(
    network: nn.Module, dev: Mapping[str, Evaluation], device: torch.device
) -> dict[str, float]:
    """All numbers of all sets as ``set/name``; a DevSet gives ``loss`` (a frame) and its stats.

    The network is put into evaluation mode for it, and back.
    """
    was_training = network.training
    network.eval()
    found: dict[str, float] = {}
    try:
        with torch.no_grad():
            for name, what in dev.items():
                values = _set(network, what, device) if isinstance(what, DevSet) else what(network)
                found.update({f"{name}/{key}": float(value) for key, value in values.items()})
    finally:
        network.train(was_training)
    return found


def _set(network: nn.Module, dev: DevSet, device: torch.device) -> dict[str, float]:
    loss, frames = 0.0, 0
    stats: dict[str, float] = {}
    for batch in dev.batches:
        if batch is None:
            continue
        value = dev.objective(network, batch.to(device))
        loss += float(value.loss)
        frames += value.frames
        for key, number in value.stats.items():
            stats[key] = stats.get(key, 0.0) + number
    return per_frame(loss, frames, stats)


def per_frame(loss: float, frames: int, stats: Mapping[str, float]) -> dict[str, float]:
    """Sums to means."""
    count = frames or math.nan
    return {"loss": loss / count, **{name: value / count for name, value in stats.items()}}


@dataclass(slots=True)
class Judge:
    """Decides by the numbers of each evaluation; JSON by ``asdict``.

    Attributes:
        best: the watched metric's best value so far, of weights that kept the guard.
        best_step: when that was; -1 before.
        waiting: evaluations since then.
        guard_start: the guarded metric before the training.
        broken: evaluations in a row with the guard broken.
    """

    best: float | None = None
    best_step: int = -1
    waiting: int = 0
    guard_start: float | None = None
    broken: int = 0

    def begin(self, config: TrainConfig, values: Mapping[str, float], step: int) -> None:
        """Take the values before the training as what must not be lost.

        Raises:
            UsageError: the options watch a metric that no dev set gives.
        """
        for option, name in (("watch", config.watch), ("guard", config.guard)):
            if name and name not in values:
                raise UsageError(
                    f"{option} is {name!r}, which is not measured; there are "
                    f"{', '.join(sorted(values)) or 'no dev sets'}"
                )
        if config.guard:
            self.guard_start = values[config.guard]
        if config.watch:
            self.best, self.best_step = values[config.watch], step

    def is_better(self, config: TrainConfig, values: Mapping[str, float]) -> bool:
        """Whether these values would be the best so far."""
        if not config.watch or self.breaks_guard(config, values):
            return False
        value = values[config.watch]
        if not math.isfinite(value):
            return False
        if self.best is None or not math.isfinite(self.best):
            return True
        return value < self.best if config.watch_for == "min" else value > self.best

    def breaks_guard(self, config: TrainConfig, values: Mapping[str, float]) -> bool:
        """Whether the guarded metric has become worse than the tolerance allows."""
        if not config.guard:
            return False
        if self.guard_start is None:
            raise UsageError("this training began without its guard: begin anew in another folder")
        room = config.guard_tolerance * abs(self.guard_start)
        value = values[config.guard]
        worse = value - self.guard_start if config.guard_for == "min" else self.guard_start - value
        return not worse <= room  # NaN is broken

    def judge(self, config: TrainConfig, values: Mapping[str, float], step: int) -> bool:
        """Take in the values of a step; True if its weights are to be kept as the best."""
        self.broken = self.broken + 1 if self.breaks_guard(config, values) else 0
        if self.is_better(config, values):
            self.best, self.best_step, self.waiting = values[config.watch], step, 0
            return True
        self.waiting += bool(config.watch)
        return False

    def reason_to_stop(self, config: TrainConfig) -> str:
        """Why to stop early; "" to go on."""
        if config.patience and self.waiting >= config.patience:
            return f"{config.watch} has not become better in {self.waiting} evaluations"
        if config.stop_at_guard and self.broken >= config.stop_at_guard:
            return f"{config.guard} has been worse than allowed in {self.broken} evaluations"
        return ""

    def to_json(self) -> dict[str, float | int | None]:
        """What a checkpoint stores."""
        return {
            name: value if value is None or math.isfinite(value) else None
            for name, value in asdict(self).items()
        }


class Average:
    """An exponential moving average of a network's parameters and statistics.

    Args:
        network: what is averaged, with its present values as the first.
        decay: the weight that the old average keeps in a step.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network, self._decay = network, decay
        self.tensors = {name: t.detach().clone() for name, t in _values(network)}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the present values."""
        for name, value in _values(self._network):
            mine = self.tensors[name]
            if mine.is_floating_point():
                mine.lerp_(value.to(mine.dtype), 1.0 - self._decay)
            else:
                mine.copy_(value)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the network's values and the averages; a second call undoes it."""
        for name, value in _values(self._network):
            mine = self.tensors[name]
            present = value.detach().clone()
            value.copy_(mine)
            mine.copy_(present)


def _values(network: nn.Module) -> Iterable[tuple[str, torch.Tensor]]:
    return itertools.chain(network.named_parameters(), network.named_buffers())
