"""The background model of i-vectors: a mixture of diagonal Gaussians, trained by EM.

Kaldi trains it with gmm-global-init-from-feats and gmm-global-est on a sample of frames
(steps/online/nnet2/train_diag_ubm.sh); here every frame of the sample is scored by every Gaussian,
so that no iteration makes the sample less likely.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from asr.errors import DataError, UsageError

_CELLS = 1 << 22  # frames × Gaussians whose posteriors are held at once


@dataclass(frozen=True, slots=True)
class UbmConfig:
    """Options of the background model.

    Attributes:
        num_gaussians: its size.
        iterations: of EM.
        max_frames: frames of the sample that it is trained on, drawn evenly from all utterances.
        variance_floor: smallest variance, as a part of the sample's in that dimension.
        min_count: a Gaussian with fewer frames keeps its mean and variance.
        seed: of the frames that are the first means.
    """

    num_gaussians: int = 256
    iterations: int = 20
    max_frames: int = 500_000
    variance_floor: float = 0.01
    min_count: float = 10.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.num_gaussians < 1 or self.iterations < 0 or self.max_frames < self.num_gaussians:
            raise UsageError(
                "a background model needs at least 1 Gaussian, no negative number of iterations, "
                "and more frames than Gaussians"
            )
        if not 0 < self.variance_floor < 1 or self.min_count <= 0:
            raise UsageError("variance_floor must lie between 0 and 1, and min_count above 0")


@dataclass(frozen=True, slots=True, eq=False)
class DiagonalGmm:
    """A mixture: weights float64 [G], means and variances float64 [G, D]."""

    weights: Tensor
    means: Tensor
    variances: Tensor

    @property
    def gconsts(self) -> Tensor:
        """Log-likelihood of each Gaussian at 0, log weight included: float64 [G]."""
        dim = self.means.shape[1]
        quadratic = (self.means.square() / self.variances).sum(1) + self.variances.log().sum(1)
        return self.weights.log() - 0.5 * (quadratic + dim * math.log(2.0 * math.pi))

    def log_likelihoods(self, frames: Tensor) -> Tensor:
        """Of each frame by each Gaussian, weights included: [T, D] → [T, G] in its type."""
        linear = torch.cat([self.means / self.variances, -0.5 / self.variances], dim=1)
        powers = torch.cat([frames, frames.square()], dim=1)
        return torch.addmm(self.gconsts.to(frames), powers, linear.T.to(frames))

    def tensors(self) -> dict[str, Tensor]:
        """The arrays by name."""
        return {"weights": self.weights, "means": self.means, "variances": self.variances}


def initial_ubm(frames: Tensor, config: UbmConfig) -> DiagonalGmm:
    """Means that are frames drawn at random, the sample's variance and even weights.

    Raises:
        DataError: fewer frames than Gaussians.
    """
    count = config.num_gaussians
    if len(frames) < count:
        raise DataError(
            f"{len(frames)} frames are too few for {count} Gaussians: give more speech or ask "
            "for fewer Gaussians"
        )
    generator = torch.Generator().manual_seed(config.seed)
    chosen = torch.randperm(len(frames), generator=generator)[:count].sort().values
    means = frames[chosen.to(frames.device)].double()
    variance = _variance(frames)
    weights = torch.full((count,), 1.0 / count, dtype=torch.float64, device=frames.device)
    return DiagonalGmm(weights, means, variance.expand(count, -1).clone())


def em_step(gmm: DiagonalGmm, frames: Tensor, config: UbmConfig) -> tuple[DiagonalGmm, float]:
    """One iteration of EM over [T, D] frames.

    Returns:
        the better mixture, and the mean log-likelihood of a frame by the one that was given.
    """
    counts = torch.zeros_like(gmm.weights)
    sums, squares = torch.zeros_like(gmm.means), torch.zeros_like(gmm.means)
    total = 0.0
    for piece in frames.split(max(1, _CELLS // len(counts))):
        likes = gmm.log_likelihoods(piece)
        norm = torch.logsumexp(likes, dim=1, keepdim=True)
        posteriors = (likes - norm).exp_().T
        total += float(norm.sum(dtype=torch.float64))
        counts += posteriors.sum(dim=1, dtype=torch.float64)
        sums += posteriors @ piece
        squares += posteriors @ piece.square()
    kept = counts < config.min_count
    divisor = counts.clamp(min=config.min_count)[:, None]
    means = torch.where(kept[:, None], gmm.means, sums / divisor)
    variances = squares / divisor - means.square()
    floor = config.variance_floor * _variance(frames)
    variances = torch.where(kept[:, None], gmm.variances, variances.maximum(floor))
    # no weight is 0, so that its logarithm stays finite and the Gaussian may come back
    weights = counts.clamp(min=1e-5 * len(frames) / len(counts))
    return DiagonalGmm(weights / weights.sum(), means, variances), total / len(frames)


def train_ubm(
    frames: Tensor,
    config: UbmConfig,
    begun: tuple[DiagonalGmm, int] | None = None,
    after: Callable[[DiagonalGmm, int, float], None] | None = None,
) -> DiagonalGmm:
    """Fit a mixture to a sample of frames.

    Args:
        frames: float32 or float64 [T, D]; what is summed over them is float64 in any case.
        config: options.
        begun: a mixture and how many iterations it has had, to go on from.
        after: told, after each iteration, the mixture, how many iterations it has had, and the mean
            log-likelihood of a frame before this one.

    Raises:
        DataError: fewer frames than Gaussians.
    """
    gmm, done = begun or (initial_ubm(frames, config), 0)
    for iteration in range(done, config.iterations):
        gmm, likelihood = em_step(gmm, frames, config)
        if after is not None:
            after(gmm, iteration + 1, likelihood)
    return gmm


def _variance(frames: Tensor) -> Tensor:
    """Of each dimension, summed in float64 a piece at a time: float64 [D]."""
    pieces = frames.split(1 << 16)
    mean = sum(piece.sum(dim=0, dtype=torch.float64) for piece in pieces) / len(frames)
    squares = sum((piece.double() - mean).square().sum(dim=0) for piece in pieces)
    variance: Tensor = squares / len(frames)
    return variance.clamp_(min=torch.finfo(torch.float32).tiny)
