"""Greedy layer-wise pre-training (Hinton, Osindero and Teh 2006; Dahl et al. 2012).

Each layer learns to model what the layers below make of the sound, and is then kept as it is. The
whole is where supervised training of a deep network begins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor

from asr.errors import UsageError
from asr.pretraining.autoencoder import AutoencoderConfig, AutoencoderTrainer
from asr.pretraining.frames import FramePool
from asr.pretraining.rbm import Rbm, RbmConfig, RbmTrainer
from asr.pretraining.stack import LayerStack
from asr.progress import Progress, silent

Kind = Literal["rbm", "autoencoder"]
_HELD_OUT = 2048  # frames that the free energy gap is measured on


@dataclass(frozen=True, slots=True)
class GreedyConfig:
    """Options.

    Attributes:
        kind: "rbm" or "autoencoder".
        layers: how many.
        dim: their width.
        epochs: times through the frames, each layer.
        first_epochs: the same for the first layer (a Gaussian RBM needs more); 0 = as the others.
        batch: frames a step.
        rbm, autoencoder: options of the kind.
        seed: of weights, order and sampling.
    """

    kind: Kind = "rbm"
    layers: int = 3
    dim: int = 512
    epochs: int = 5
    first_epochs: int = 0
    batch: int = 256
    rbm: RbmConfig = field(default_factory=RbmConfig)
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise UsageError(f"kind is {self.kind!r}; choose {' or '.join(get_args(Kind))}")
        if min(self.layers, self.dim, self.epochs, self.batch) < 1 or self.first_epochs < 0:
            raise UsageError("layers, dim, epochs and batch of pre-training must be at least 1")


@dataclass(frozen=True, slots=True)
class EpochReport:
    """How an epoch went.

    Attributes:
        layer, epoch: from 1.
        error: mean square error of a visible unit's reconstruction.
        gap: by how much the free energy of held-out frames exceeds that of training frames
            (RBM only; grows when the machine overfits), nats a frame.
    """

    layer: int
    epoch: int
    error: float
    gap: float | None = None


def pretrain_layers(
    pool: FramePool,
    config: GreedyConfig,
    progress: Progress = silent,
    begun: LayerStack | None = None,
    after_layer: Callable[[LayerStack], None] | None = None,
    after_epoch: Callable[[EpochReport], None] | None = None,
) -> LayerStack:
    """Train the layers one after the other, on the pool's device.

    Args:
        pool: the frames.
        config: options.
        progress: told how far it is, and the reconstruction's error.
        begun: layers that are trained already, by the same frames and options.
        after_layer: told the stack after each layer.
        after_epoch: told how each epoch went.

    Raises:
        UsageError: fewer frames than a batch.
    """
    if len(pool) < config.batch:
        raise UsageError(
            f"{len(pool)} frames are fewer than a batch of {config.batch}: give more speech"
        )
    stack = begun or LayerStack((), pool.mean, pool.deviation, pool.context)
    for number in range(len(stack.layers), config.layers):
        layer = _layer(pool, stack, config, number, progress, after_epoch)
        stack = LayerStack((*stack.layers, layer), pool.mean, pool.deviation, pool.context)
        if after_layer is not None:
            after_layer(stack)
    return stack


def _layer(
    pool: FramePool,
    below: LayerStack,
    config: GreedyConfig,
    number: int,
    progress: Progress,
    after_epoch: Callable[[EpochReport], None] | None,
) -> tuple[Tensor, Tensor]:
    """Train layer ``number`` (from 0) on the activations below it."""
    epochs = config.first_epochs if number == 0 and config.first_epochs else config.epochs
    trainer = _trainer(pool, below, config, number)
    held_out, training = _halves(pool)
    for epoch in range(epochs):
        total, steps = 0.0, 0
        for frames in pool.shuffled(config.batch, config.seed + number, epoch):
            frames = frames[frames < len(pool) - len(held_out)]
            if not len(frames):
                continue
            with torch.no_grad():
                data = below.activations(pool.windows(frames))
            total += trainer.step(data)
            steps += 1
        report = EpochReport(number + 1, epoch + 1, total / max(1, steps))
        if isinstance(trainer, RbmTrainer):
            gap = _gap(trainer.rbm, pool, below, held_out, training)
            report = EpochReport(number + 1, epoch + 1, report.error, gap)
        if after_epoch is not None:
            after_epoch(report)
        message = f"layer {number + 1}/{config.layers}, epoch {epoch + 1}/{epochs}: error "
        fraction = (number + (epoch + 1) / epochs) / config.layers
        progress(fraction, f"{message}{report.error:.4f}")
    if isinstance(trainer, RbmTrainer):
        return trainer.rbm.weight.T.contiguous(), trainer.rbm.hidden_bias
    return trainer.weight.detach(), trainer.bias.detach()


def _trainer(
    pool: FramePool, below: LayerStack, config: GreedyConfig, number: int
) -> RbmTrainer | AutoencoderTrainer:
    visible = pool.width if number == 0 else config.dim
    gaussian, seed, device = number == 0, 1000 * config.seed + number, pool.feats.device
    if config.kind == "autoencoder":
        return AutoencoderTrainer(visible, config.dim, gaussian, config.autoencoder, seed, device)
    generator = torch.Generator().manual_seed(seed)
    rbm = Rbm.random(visible, config.dim, gaussian, generator).to(device)
    return RbmTrainer(rbm, config.rbm, seed)


def _halves(pool: FramePool) -> tuple[Tensor, Tensor]:
    """Frames that are held out, the pool's last, and as many from all over the rest of it."""
    count = min(_HELD_OUT, len(pool) // 10)
    held_out = torch.arange(len(pool) - count, len(pool), device=pool.feats.device)
    step = max(1, (len(pool) - count) // max(1, count))
    return held_out, torch.arange(0, len(pool) - count, step, device=pool.feats.device)[:count]


@torch.no_grad()
def _gap(
    rbm: Rbm, pool: FramePool, below: LayerStack, held_out: Tensor, training: Tensor
) -> float | None:
    if not len(held_out):
        return None
    inside, outside = (
        rbm.free_energy(below.activations(pool.windows(frames))).mean()
        for frames in (training, held_out)
    )
    return float(outside - inside)
