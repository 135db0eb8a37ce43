"""One optimizer step: objectives of some batches, gradients of all processes, one update."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from asr.errors import UsageError
from asr.training.batch import Batch
from asr.training.config import TrainConfig
from asr.training.distributed import World
from asr.training.objective import Objective

_PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(slots=True)
class StepResult:
    """What a step gave.

    Attributes:
        loss: sum over the frames of all processes.
        frames: of all processes.
        grad_norm: of the gradient per frame, before clipping.
        stats: sums over this process's frames.
        failed: utterances of this process that could not be used.
        failed_everywhere: how many in all processes.
        updated: False where the loss or the gradient was not finite, or there were no frames.
    """

    loss: float = 0.0
    frames: int = 0
    grad_norm: float = 0.0
    stats: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    failed_everywhere: int = 0
    updated: bool = False

    @property
    def bad(self) -> bool:
        """Whether there was something to learn from, but no finite gradient."""
        return self.frames > 0 and not self.updated


class LossScale:
    """Keeps the gradients of half precision (fp16) within its range: halved when they overflow."""

    def __init__(self, precision: str) -> None:
        self.active = precision == "fp16"
        self.scale = 2.0**12 if self.active else 1.0
        self.good = 0

    def overflowed(self) -> bool:
        """Take note of a gradient that is not finite; False if the scale is not to blame."""
        if not self.active or self.scale <= 1.0:
            return False
        self.scale, self.good = max(1.0, self.scale / 2), 0
        return True

    def went_well(self) -> None:
        """Take note of a finite gradient."""
        self.good += 1
        if self.active and self.good >= 1000:
            self.scale, self.good = self.scale * 2, 0


class Stepper:
    """Makes steps.

    Args:
        network, objective: what is trained, and for what.
        parameters: all that the optimizer updates.
        optimizer: updates them.
        config: options.
        world: the processes.

    Raises:
        UsageError: half precision without a GPU.
    """

    def __init__(
        self,
        network: nn.Module,
        objective: Objective,
        parameters: Sequence[nn.Parameter],
        optimizer: torch.optim.Optimizer,
        config: TrainConfig,
        world: World,
    ) -> None:
        if config.precision != "float32" and world.device.type != "cuda":
            raise UsageError(f"precision {config.precision} needs a GPU; use float32 on the CPU")
        self._network, self._objective = network, objective
        self._parameters, self._optimizer = list(parameters), optimizer
        self._config, self._world = config, world
        self._waiting = config.sync_batch_norm and world.size > 1
        self.loss_scale = LossScale(config.precision)

    def step(self, batches: Sequence[Batch | None], number: int) -> StepResult:
        """Learn from some batches; ``number`` (from 0) seeds what is random in the network."""
        torch.manual_seed(_seed(self._config.seed, number, self._world.rank))
        self._optimizer.zero_grad(set_to_none=True)
        # statistics of batch norm, which a bad batch must not spoil
        before = [buffer.clone() for buffer in self._network.buffers()]
        result = StepResult()
        sums = torch.zeros(3, dtype=torch.float64, device=self._world.device)
        for batch in batches:
            if self._taken(batch) and batch is not None:
                self._add_gradient(batch, sums, result)
        self._exchange(sums)
        result.loss = float(sums[0])
        result.frames, result.failed_everywhere = round(float(sums[1])), round(float(sums[2]))
        if result.frames:
            self._update(result)
        if not result.updated:
            for buffer, old in zip(self._network.buffers(), before, strict=True):
                buffer.copy_(old)
        return result

    def _taken(self, batch: Batch | None) -> bool:
        """Whether a batch is learnt from here.

        Batch norm over all processes waits for each of them: a batch of which one has no share (it
        holds fewer utterances than there are processes) is left out by all.
        """
        if not self._waiting:
            return batch is not None
        shares = torch.tensor([float(batch is not None)], device=self._world.device)
        self._world.add_up(shares)
        return round(float(shares)) == self._world.size

    def _add_gradient(self, batch: Batch, sums: Tensor, result: StepResult) -> None:
        batch = batch.to(self._world.device)
        dtype = _PRECISIONS.get(self._config.precision)
        with torch.autocast(self._world.device.type, dtype, enabled=dtype is not None):
            value = self._objective(self._network, batch)
        result.failed.extend(value.failed)
        for name, number in value.stats.items():
            result.stats[name] = result.stats.get(name, 0.0) + number
        sums[0] += value.loss.detach().double()
        sums[1] += value.frames
        sums[2] += len(value.failed)
        if (value.frames or self._waiting) and value.loss.requires_grad:
            (value.loss.float() * self.loss_scale.scale).backward()

    def _exchange(self, sums: Tensor) -> None:
        """Add up sums and gradients over the processes; nobody's parameter stays without one."""
        if self._world.size == 1:
            return
        used = torch.tensor([p.grad is not None for p in self._parameters], device=sums.device)
        numbers = torch.cat([sums, used.double()])
        self._world.add_up(numbers)
        sums.copy_(numbers[: len(sums)])
        somewhere = (numbers[len(sums) :] > 0).tolist()
        taking_part = list(itertools.compress(self._parameters, somewhere))
        for parameter in taking_part:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self._world.add_up_all([p.grad for p in taking_part if p.grad is not None])

    def _update(self, result: StepResult) -> None:
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        if not gradients:
            return
        torch._foreach_mul_(gradients, 1.0 / (result.frames * self.loss_scale.scale))
        norm = torch.nn.utils.get_total_norm(gradients)
        result.grad_norm = float(norm)
        if not (math.isfinite(result.grad_norm) and math.isfinite(result.loss)):
            return
        limit = self._config.clip_norm
        if limit and result.grad_norm > limit:
            torch._foreach_mul_(gradients, limit / result.grad_norm)
        self._optimizer.step()
        self.loss_scale.went_well()
        result.updated = True


def _seed(seed: int, step: int, rank: int) -> int:
    """The random numbers of a step depend on nothing that was drawn before it.

    So a training that goes on from a checkpoint draws the same, in any number of processes, and a
    checkpoint needs no generator's state.
    """
    digest = hashlib.sha256(f"{seed} {step} {rank}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
