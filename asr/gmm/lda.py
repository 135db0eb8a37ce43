"""Linear discriminant analysis of spliced frames, by the pdfs that spoke them.

Kaldi transform/lda-estimate.cc: the rows of the transform make the within-class covariance the
identity, and are ordered by how far they keep the classes apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from asr.errors import DataError, UsageError
from asr.gmm.alignment import Alignment
from asr.gmm.corpus import Corpus
from asr.gmm.features import FrontEndConfig, in_context
from asr.gmm.model import GmmModel
from asr.hmm.topology import SILENCE_ID


@dataclass(frozen=True, slots=True)
class LdaConfig:
    """Options: ``splice`` frames on either side are brought down to ``dim`` dimensions."""

    splice: int = 4
    dim: int = 40

    def __post_init__(self) -> None:
        if self.splice < 1 or self.dim < 1:
            raise UsageError("LDA takes at least one frame on either side, and one dimension")


class LdaStatistics:
    """Counts and sums of each class, and all frames' second moments.

    Args:
        classes: how many there are.
        dim: of the features.
    """

    def __init__(self, classes: int, dim: int) -> None:
        self.counts = np.zeros(classes)
        self.sums = np.zeros((classes, dim))
        self.second = np.zeros((dim, dim))

    def add(self, features: NDArray[np.floating], classes: NDArray[np.integer]) -> None:
        """Add frames: float [T, D] and int [T]."""
        x = features.astype(np.float64)
        self.counts += np.bincount(classes, minlength=len(self.counts))
        np.add.at(self.sums, classes, x)
        self.second += x.T @ x

    def estimate(self, dim: int) -> NDArray[np.float64]:
        """The transform: float64 [dim, D].

        Raises:
            DataError: too few frames to tell classes apart.
            UsageError: more dimensions than there are.
        """
        if dim > len(self.second):
            raise UsageError(f"LDA to {dim} dimensions from {len(self.second)}: splice more frames")
        count = self.counts.sum()
        if count <= len(self.second):
            raise DataError("there are too few frames for LDA: give more speech")
        mean = self.sums.sum(axis=0) / count
        total = self.second / count - np.outer(mean, mean)
        means = self.sums / np.maximum(self.counts, 1.0)[:, None]
        between = (means * (self.counts / count)[:, None]).T @ means - np.outer(mean, mean)
        try:
            root = np.linalg.cholesky(total - between)
        except np.linalg.LinAlgError:
            raise DataError("frames vary too little for LDA: give more speech") from None
        left = np.linalg.solve(root, between)
        ratio = np.linalg.solve(root, left.T)
        values, vectors = np.linalg.eigh((ratio + ratio.T) / 2.0)
        chosen = vectors[:, np.argsort(values)[::-1][:dim]]
        return np.asarray(np.linalg.solve(root.T, chosen).T)


def lda_model(
    model: GmmModel,
    corpus: Corpus,
    alignments: Mapping[str, Alignment],
    config: LdaConfig | None = None,
) -> GmmModel:
    """The model with spliced features through an LDA by its pdfs; pauses are left out.

    Its Gaussians are still those of the old features: grow a tree next.
    """
    config = config or LdaConfig()
    front_end = FrontEndConfig(
        model.front_end.mfcc, model.front_end.norm_vars, deltas=0, splice=config.splice
    )
    stats = LdaStatistics(model.num_pdfs, front_end.dim)
    for name, alignment in alignments.items():
        speech = alignment.phone != SILENCE_ID
        x = in_context(corpus.cepstra.frames[name], front_end)
        stats.add(x[speech], alignment.pdf[speech])
    return replace(model, front_end=front_end, transform=stats.estimate(config.dim))
