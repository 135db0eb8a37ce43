"""Discrete targets: which of K clusters a frame belongs to (the first step of HuBERT: Hsu et al.
2021, where K = 100 clusters of MFCC with deltas are predicted at first).

k-means++ (Arthur and Vassilvitskii 2007) chooses the first centres; Lloyd's algorithm, a piece of
the frames at a time, improves them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from asr.errors import DataError, UsageError
from asr.features.deltas import add_deltas
from asr.pretraining.frames import FramePool
from asr.progress import Progress, silent
from asr.tensor_file import read_tensors, write_tensors

_CELLS = 1 << 22  # frames × clusters whose distances are held at once


@dataclass(frozen=True, slots=True)
class KmeansConfig:
    """Options.

    Attributes:
        clusters: K.
        cepstra: so many of a frame's coefficients count; MFCC of high resolution carry pitch and
            noise in the upper ones. 0 = all.
        deltas: order of the derivatives that count too.
        iterations: of Lloyd's algorithm, at most; it stops when no frame changes.
        max_frames: that the centres are made from.
        candidates: frames that k-means++ chooses among.
        seed: of the choice.
    """

    clusters: int = 100
    cepstra: int = 13
    deltas: int = 2
    iterations: int = 30
    max_frames: int = 500_000
    candidates: int = 20_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.clusters < 2 or self.iterations < 1 or min(self.cepstra, self.deltas) < 0:
            raise UsageError(
                "k-means needs at least 2 clusters and 1 iteration, and cepstra and deltas that "
                "are not negative"
            )
        if min(self.max_frames, self.candidates) < self.clusters:
            raise UsageError("k-means needs more frames and candidates than clusters")


@dataclass(frozen=True, slots=True, eq=False)
class Quantizer:
    """From frames to numbers of clusters.

    Attributes:
        centres: float32 [K, E], among normalised cepstra and their derivatives.
        mean, deviation: float32 [E], which normalise them.
        feature_dim: D of the features that are given.
        cepstra: so many of them count.
        deltas: order of derivatives.
    """

    centres: Tensor
    mean: Tensor
    deviation: Tensor
    feature_dim: int
    cepstra: int
    deltas: int

    def __len__(self) -> int:
        return len(self.centres)

    def __call__(self, feats: Tensor) -> Tensor:
        """The cluster of each frame of an utterance: [T, D] → int64 [T].

        The utterance's mean is subtracted, so that clusters are sounds and not speakers.

        Raises:
            UsageError: features of another dimension.
        """
        if feats.dim() != 2 or feats.shape[1] != self.feature_dim:
            raise UsageError(f"targets are made from [frames, {self.feature_dim}] features, not "
                             f"{[*feats.shape]}")  # fmt: skip
        points = (_points(feats, self.cepstra, self.deltas) - self.mean) / self.deviation
        return _nearest(points, self.centres)[0]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file, which appears whole."""
        shape = torch.tensor([self.feature_dim, self.cepstra, self.deltas])
        arrays = {
            "centres": self.centres, "mean": self.mean, "deviation": self.deviation, "shape": shape
        }  # fmt: skip
        tensors = {name: array.cpu().numpy() for name, array in arrays.items()}
        write_tensors(path, tensors, checksum=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Quantizer:
        """Inverse of :meth:`save`.

        Raises:
            DataError: no such file, or not one of these.
        """
        try:
            arrays = {name: torch.from_numpy(array) for name, array in read_tensors(path).items()}
            feature_dim, cepstra, deltas = arrays["shape"].tolist()
            loaded = cls(
                arrays["centres"], arrays["mean"], arrays["deviation"],
                feature_dim, cepstra, deltas,
            )  # fmt: skip
            if loaded.centres.shape[1:] != loaded.mean.shape:
                raise ValueError("centres and mean of different widths")
            return loaded
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{Path(path)} holds no cluster centres ({error}): make it with `asr pretrain`"
            ) from error


def train_quantizer(
    pool: FramePool, config: KmeansConfig, progress: Progress = silent
) -> Quantizer:
    """Cluster the frames of a pool.

    Args:
        pool: the frames; its normalisation is undone, so that the quantizer takes plain features.
        config: options.
        progress: told the mean square distance to the nearest centre.

    Raises:
        DataError: fewer different frames than clusters.
    """
    dim = pool.feats.shape[1]
    cepstra = min(config.cepstra or dim, dim)
    step = max(1, -(-len(pool) // config.max_frames))
    pieces, start = [], 0
    for _, feats in pool.utterances():
        pieces.append(_points(feats, cepstra, config.deltas)[-start % step :: step])
        start += len(feats)
    points = torch.cat(pieces)
    mean = points.mean(dim=0, dtype=torch.float64).float()
    deviation = (points - mean).double().square().mean(dim=0).sqrt().clamp(min=1e-5).float()
    points = (points - mean) / deviation
    centres = _spread_centres(points, config)
    before = torch.full((len(points),), -1, device=points.device)
    for iteration in range(config.iterations):
        nearest, squares = _nearest(points, centres)
        message = f"clusters {iteration + 1}/{config.iterations}: {float(squares.mean()):.4f}"
        progress((iteration + 1) / config.iterations, message)
        if torch.equal(nearest, before):
            break
        before = nearest
        centres = _means(points, nearest, centres, squares)
    return Quantizer(centres, mean, deviation, dim, cepstra, config.deltas)


def _points(feats: Tensor, cepstra: int, deltas: int) -> Tensor:
    """Cepstra less their mean over the utterance, and derivatives: [T, D] → [T, E]."""
    kept = feats[:, :cepstra]
    if len(kept):
        kept = kept - kept.mean(dim=0)
    return add_deltas(kept[None], deltas)[0] if deltas else kept


def _nearest(points: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest centre of each point, int64 [N], and its square distance, float32 [N]."""
    lengths = centres.square().sum(dim=1)
    nearest, squares = [], []
    for piece in points.split(max(1, _CELLS // len(centres))):
        distances = torch.addmm(lengths, piece, centres.T, alpha=-2.0)
        least, which = distances.min(dim=1)
        nearest.append(which)
        squares.append((least + piece.square().sum(dim=1)).clamp(min=0.0))
    if not nearest:
        return torch.zeros(0, dtype=torch.int64), torch.zeros(0)
    return torch.cat(nearest), torch.cat(squares)


def _spread_centres(points: Tensor, config: KmeansConfig) -> Tensor:
    """k-means++ among some of the points.

    Raises:
        DataError: fewer different points than clusters.
    """
    generator = torch.Generator().manual_seed(config.seed)
    order = torch.randperm(len(points), generator=generator)[: config.candidates]
    some = points[order.to(points.device)]
    if not len(some):
        raise DataError("there are no frames to cluster: give speech")
    centres = [some[0]]
    squares = (some - centres[0]).square().sum(dim=1)
    for _ in range(config.clusters - 1):
        total = squares.double().cumsum(0)
        if not float(total[-1]) > 0:
            raise DataError(
                f"the speech has only {len(centres)} different frames, too few for "
                f"{config.clusters} clusters: give more speech or ask for fewer"
            )
        draw = torch.rand((), generator=generator, dtype=torch.float64).to(total) * total[-1]
        # the first whose running total exceeds the draw: never one of distance 0
        chosen = int(torch.searchsorted(total, draw, right=True).clamp(max=len(total) - 1))
        centres.append(some[chosen])
        squares = squares.minimum((some - some[chosen]).square().sum(dim=1))
    return torch.stack(centres)


def _means(points: Tensor, nearest: Tensor, centres: Tensor, squares: Tensor) -> Tensor:
    """Centres moved to the means of their points; empty clusters take the farthest points."""
    counts = torch.bincount(nearest, minlength=len(centres)).double()
    sums = torch.zeros_like(centres, dtype=torch.float64)
    sums.index_add_(0, nearest, points.double())
    moved = (sums / counts.clamp(min=1.0)[:, None]).to(centres.dtype)
    empty = (counts == 0).nonzero()[:, 0]
    if len(empty):
        moved[empty] = points[squares.topk(len(empty)).indices]
    return moved
