"""Batch normalisation while it learns: over real frames only, over all processes if asked."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from asr.acoustic.components import BatchNorm
from asr.acoustic.spec import Component

STATISTICS_DECAY = 0.8
"""How much the statistics kept for inference weigh after another batch has been seen; Kaldi scales
them by 0.8 between iterations (nnet3/nnet-training ``batchnorm-stats-scale``), we more finely."""


class Adder(Protocol):
    """Adds up a tensor over processes, in place."""

    def add_up(self, tensor: Tensor) -> None:
        """Replace the tensor by the sum."""
        ...


class TrainedBatchNorm(BatchNorm):
    """y = target_rms (x − mean) / √(variance + ε), as Kaldi's BatchNormComponent.

    In training mode mean and variance are the batch's, over frames that belong to utterances, and
    running ones are kept, weighted by frames; in evaluation mode the running ones are used.

    Args:
        component: kind ``batch_norm``; the option ``count`` is how many frames its statistics
            stand for (absent: 0, so that the first batch replaces them).
    """

    count: Tensor

    def __init__(self, component: Component) -> None:
        super().__init__(component)
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.world: Adder | None = None

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """x: [batch, frames, dim]; mask: bool [batch, frames], None = all frames are real."""
        if not self.training:
            return super().forward(x)
        rows = x.reshape(-1, x.shape[2]).float()
        weights = rows.new_ones(len(rows)) if mask is None else mask.reshape(-1).to(rows.dtype)
        # sums over many frames need float32, whatever the layers around compute in
        with torch.autocast(x.device.type, enabled=False):
            y, mean, variance, count = _Normalize.apply(
                rows, weights, self.options["epsilon"], self.options["target_rms"], self.world
            )
        self._keep(mean, variance, count)
        return y.view(x.shape)

    @torch.no_grad()
    def _keep(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        """Merge a batch's statistics into the running ones."""
        old = self.count * STATISTICS_DECAY
        total = old + count
        share = (count / total.clamp(min=1.0)).to(mean.dtype)
        delta = mean - self.mean
        self.mean.add_(share * delta)
        self.variance.lerp_(variance, share).add_(share * (1 - share) * delta * delta)
        self.count.copy_(total)

    def to_component(self) -> Component:
        """With the running statistics, for inference."""
        whole = super().to_component()
        arrays = {name: whole.arrays[name] for name in ("mean", "variance")}
        return Component(self.kind, self.options, arrays)


class _Normalize(torch.autograd.Function):
    """Normalise rows by their weighted mean and variance; weights are 0 or 1."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weights: Tensor, epsilon: float, rms: float, world: Adder | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        sums = torch.cat([weights.sum()[None], weights @ x, weights @ (x * x)])
        if world is not None:
            sums = sums.clone()
            world.add_up(sums)
        count = sums[0].clamp(min=1.0)
        mean, square = (sums[1:] / count).chunk(2)
        variance = (square - mean * mean).clamp(min=0.0)
        scale = rms / torch.sqrt(variance + epsilon)
        ctx.save_for_backward(x, weights, mean, scale, count)
        ctx.rms, ctx.world = rms, world
        seen = sums[0].double()
        ctx.mark_non_differentiable(mean, variance, seen)
        return torch.addcmul(-mean * scale, x, scale), mean, variance, seen

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weights, mean, scale, count = ctx.saved_tensors
        g = gradients[0]
        # what follows the mean and the variance: sums over all rows that were normalised by them
        total = g.sum(0)
        along = (g * x).sum(0) - mean * total
        sums = torch.cat([total, along])
        if ctx.world is not None:
            ctx.world.add_up(sums)
        total, along = (sums / count).chunk(2)
        slope = along * (scale / ctx.rms) ** 2
        dx = g - weights[:, None] * torch.addcmul(total - mean * slope, x, slope)
        return dx.mul_(scale), None, None, None, None
