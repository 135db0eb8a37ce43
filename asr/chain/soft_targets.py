"""What a teacher heard, in place of what was said, or beside it.

A teacher's posteriors are the occupations of its own denominator graph: those of everything that
might have been said, by its scores. With them as the numerator, the gradient of LF-MMI is that of
the relative entropy between teacher and student as distributions over paths (J. Wong and M. Gales,
"Sequence student-teacher training of deep neural networks", 2016; N. Kanda et al., "Investigation
of lattice-free maximum mutual information-based acoustic models with sequence-level
Kullback-Leibler divergence", 2018), and needs no text.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.chain.prepared import PreparedGraph

STEPS = 32767
"""A posterior is kept as a whole number of so many parts."""


@dataclass(frozen=True, slots=True, eq=False)
class SoftTarget:
    """The likeliest pdfs of each frame, by a teacher.

    Attributes:
        table: int16 [N, 2 K]: K pdfs, then the posterior of each in parts of ``STEPS``; those of a
            frame sum to one, but for rounding.
    """

    table: Tensor

    @classmethod
    def of(cls, posteriors: NDArray[np.floating], keep: int) -> SoftTarget:
        """The ``keep`` likeliest of float [N, pdfs], scaled so that they sum to one."""
        keep = min(keep, posteriors.shape[1])
        pdfs = np.argpartition(-posteriors, keep - 1, axis=1)[:, :keep]
        kept = np.take_along_axis(posteriors, pdfs, axis=1).astype(np.float64)
        kept /= np.maximum(kept.sum(axis=1, keepdims=True), 1e-30)
        table = np.concatenate([pdfs, np.rint(kept * STEPS)], axis=1).astype(np.int16)
        return cls(torch.from_numpy(table))

    @property
    def frames(self) -> int:
        """N."""
        return len(self.table)

    def identity(self) -> tuple[NDArray[np.generic], ...]:
        """What tells it from others."""
        return (self.table.numpy(),)

    def add(
        self, scores: NDArray[np.floating], posteriors: NDArray[np.floating], factor: float
    ) -> float:
        """As :meth:`PreparedGraph.add`: Σ posterior · score in place of a log-probability.

        That lacks the graph's weights on the teacher's paths, which no score changes.

        Scores of another number of frames than the teacher's (of a front end that begins or ends
        a little earlier) take those of the same place, the last of them from there on.
        """
        table = self.table.numpy()
        places = np.minimum(np.arange(len(scores)), len(table) - 1)
        pdfs, parts = np.split(table[places].astype(np.int64), 2, axis=1)
        weights = parts / STEPS
        rows = np.arange(len(scores))[:, None]
        posteriors[rows, pdfs] += (factor * weights).astype(posteriors.dtype)
        return float((weights * scores[rows, pdfs]).sum())


@dataclass(frozen=True, slots=True, eq=False)
class MixedTarget:
    """What was said, and what a teacher heard.

    Attributes:
        said: all ways to say the text.
        heard: by the teacher.
        weight: of the latter, 0 to 1.
    """

    said: PreparedGraph
    heard: SoftTarget
    weight: float

    def identity(self) -> tuple[NDArray[np.generic], ...]:
        """What tells it from others."""
        return (*self.said.identity(), *self.heard.identity(), np.array(self.weight))

    def add(
        self, scores: NDArray[np.floating], posteriors: NDArray[np.floating], factor: float
    ) -> float:
        """The weighted sum of both; of the teacher's alone where the text does not fit."""
        said = self.said.add(scores, posteriors, factor * (1.0 - self.weight))
        if not np.isfinite(said):
            return self.heard.add(scores, posteriors, factor)
        heard = self.heard.add(scores, posteriors, factor * self.weight)
        return (1.0 - self.weight) * said + self.weight * heard
