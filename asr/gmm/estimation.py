"""Expectation-maximisation of Gaussian mixtures, and how they grow (Kaldi gmm/mle-diag-gmm.cc)."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.errors import UsageError
from asr.gmm import kernels
from asr.gmm.diag_gmm import DiagGmms


@dataclass(frozen=True, slots=True)
class UpdateConfig:
    """Options of Kaldi's MleDiagGmmOptions.

    Attributes:
        min_weight, min_occupancy: Gaussians of less weight, or of fewer frames, are removed, but
            for a pdf's last one.
        min_variance: floor of variances.
        remove: if false, Gaussians of few frames stay as they are.
    """

    min_weight: float = 1e-5
    min_occupancy: float = 10.0
    min_variance: float = 1e-3
    remove: bool = True

    def __post_init__(self) -> None:
        if not (self.min_variance > 0 and self.min_weight >= 0 and self.min_occupancy >= 0):
            raise UsageError("the floors of weights, occupancies and variances must be positive")


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """How Gaussians are split, as Kaldi's ``gmm-est --mix-up``.

    Attributes:
        power: a pdf gets Gaussians by its frames to this power.
        min_count: a Gaussian gets more frames than this.
        perturb: halves are moved apart by this part of a standard deviation.
    """

    power: float = 0.25
    min_count: float = 20.0
    perturb: float = 0.01


@dataclass(slots=True, eq=False)
class Statistics:
    """Zeroth, first and second moments of the frames of each Gaussian.

    Attributes:
        occupancy: float64 [G]; sums, squares: float64 [G, D].
        loglike: weighted log-likelihood of all frames; frames: their weight.
    """

    occupancy: NDArray[np.float64]
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    loglike: float = 0.0
    frames: float = 0.0

    @classmethod
    def empty(cls, gmms: DiagGmms) -> Statistics:
        """Of no frames."""
        shape = gmms.mean.shape
        return cls(np.zeros(shape[0]), np.zeros(shape), np.zeros(shape))

    def add(
        self,
        gmms: DiagGmms,
        features: NDArray[np.float32],
        pdfs: NDArray[np.integer],
        weights: NDArray[np.float32] | None = None,
        summed: NDArray[np.float32] | None = None,
    ) -> None:
        """Add frames, each to the Gaussians of its pdf by their posteriors.

        Args:
            gmms: the model.
            features: float32 [T, D].
            pdfs: int [T].
            weights: float32 [T], of frames.
            summed: float32 [T, D], other features of the same frames, which are summed in place of
                those that posteriors come from (Kaldi's gmm-acc-stats-twofeats).
        """
        if weights is None:
            weights = np.ones(len(features), np.float32)
        x = np.ascontiguousarray(features, np.float32)
        self.loglike += kernels.accumulate(
            x, x if summed is None else np.ascontiguousarray(summed, np.float32),
            np.ascontiguousarray(pdfs, np.int32), np.ascontiguousarray(weights, np.float32),
            gmms.begin, gmms.gconst, gmms.scaled_mean, gmms.inv_var,
            self.occupancy, self.sums, self.squares,
        )  # fmt: skip
        self.frames += float(weights.sum())

    def pdf_occupancy(self, gmms: DiagGmms) -> NDArray[np.float64]:
        """Frames of each pdf: float64 [P]."""
        return np.add.reduceat(self.occupancy, gmms.begin[:-1])


def updated(gmms: DiagGmms, stats: Statistics, config: UpdateConfig | None = None) -> DiagGmms:
    """The maximum-likelihood model (MleDiagGmmUpdate); Gaussians of few frames go."""
    config = config or UpdateConfig()
    owner = np.repeat(np.arange(gmms.num_pdfs), np.diff(gmms.begin))
    total = stats.pdf_occupancy(gmms)[owner]
    count = np.diff(gmms.begin)[owner]
    weight = np.where(total > 0, stats.occupancy / np.maximum(total, 1e-300), 1.0 / count)
    enough = (stats.occupancy > config.min_occupancy) & (weight > config.min_weight)
    mean, variance = gmms.mean.copy(), gmms.variance.copy()
    occupancy = stats.occupancy[enough, None]
    mean[enough] = stats.sums[enough] / occupancy
    variance[enough] = stats.squares[enough] / occupancy - mean[enough] ** 2
    variance[enough] = np.maximum(variance[enough], config.min_variance)
    keep = enough | (not config.remove)
    # a pdf whose Gaussians all have too few frames keeps its last one
    none_left = np.add.reduceat(enough, gmms.begin[:-1]) == 0
    keep[gmms.begin[1:][none_left] - 1] = True
    weight = np.where(enough, weight, np.maximum(weight, config.min_weight))
    return _renormalised(owner[keep], gmms.num_pdfs, weight[keep], mean[keep], variance[keep])


def _renormalised(
    owner: NDArray[np.int64],
    num_pdfs: int,
    weight: NDArray[np.float64],
    mean: NDArray[np.float64],
    variance: NDArray[np.float64],
) -> DiagGmms:
    totals = np.bincount(owner, weight, minlength=num_pdfs)
    counts = np.bincount(owner, minlength=num_pdfs)
    begin = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return DiagGmms(begin, weight / totals[owner], mean, variance)


def split_targets(
    occupancy: NDArray[np.float64],
    counts: NDArray[np.integer],
    total: int,
    config: SplitConfig | None = None,
) -> NDArray[np.int64]:
    """How many Gaussians each pdf is to have: int64 [P] (Kaldi GetSplitTargets).

    One after the other goes to the pdf with the most frames**power a Gaussian.
    """
    config = config or SplitConfig()
    target = np.asarray(counts, np.int64).copy()
    value = np.asarray(occupancy, np.float64) ** config.power
    heap = [(-float(value[pdf]) / int(target[pdf]), pdf) for pdf in range(len(target))]
    heapq.heapify(heap)
    left = total - int(target.sum())
    while left > 0 and heap:
        _, pdf = heapq.heappop(heap)
        if occupancy[pdf] <= config.min_count * (target[pdf] + 1):
            continue
        target[pdf] += 1
        left -= 1
        heapq.heappush(heap, (-float(value[pdf]) / int(target[pdf]), pdf))
    return target


def split(
    gmms: DiagGmms,
    occupancy: NDArray[np.float64],
    total: int,
    generator: np.random.Generator,
    config: SplitConfig | None = None,
) -> DiagGmms:
    """The model grown to ``total`` Gaussians, fewer where there are too few frames.

    The heaviest Gaussian of a pdf is halved again and again, its halves moved apart at random
    (Kaldi DiagGmm::Split).

    Args:
        occupancy: float64 [P], frames of each pdf.
    """
    config = config or SplitConfig()
    target = split_targets(occupancy, np.diff(gmms.begin), total, config)
    weights, means, variances = [], [], []
    for pdf, goal in enumerate(target.tolist()):
        here = slice(gmms.begin[pdf], gmms.begin[pdf + 1])
        weight, mean = gmms.weight[here].tolist(), list(gmms.mean[here])
        variance = list(gmms.variance[here])
        while len(weight) < goal:
            heaviest = int(np.argmax(weight))
            weight[heaviest] /= 2.0
            step = config.perturb * generator.standard_normal(gmms.dim)
            step *= np.sqrt(variance[heaviest])
            weight.append(weight[heaviest])
            mean.append(mean[heaviest] - step)
            mean[heaviest] = mean[heaviest] + step
            variance.append(variance[heaviest])
        weights += weight
        means += mean
        variances += variance
    begin = np.concatenate([[0], np.cumsum(target)]).astype(np.int64)
    return DiagGmms(begin, np.array(weights), np.array(means), np.array(variances))
