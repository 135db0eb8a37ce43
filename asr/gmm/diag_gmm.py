"""Gaussian mixtures with diagonal covariances, all pdfs' in flat arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from asr.errors import ModelError
from asr.gmm import kernels

_FRAMES_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class DiagGmms:
    """P mixtures of G Gaussians in all, over D-dimensional features.

    Attributes:
        begin: int64 [P + 1], the Gaussians of pdf p are ``begin[p]:begin[p + 1]``, at least one.
        weight: float64 [G], which sum to 1 over each pdf.
        mean, variance: float64 [G, D].
    """

    begin: NDArray[np.int64]
    weight: NDArray[np.float64]
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]

    @classmethod
    def single(cls, mean: NDArray[np.float64], variance: NDArray[np.float64]) -> DiagGmms:
        """One Gaussian a pdf, from float64 [P, D] twice."""
        count = len(mean)
        return cls(np.arange(count + 1), np.ones(count), mean.copy(), variance.copy())

    @property
    def num_pdfs(self) -> int:
        """How many mixtures there are."""
        return len(self.begin) - 1

    @property
    def num_gaussians(self) -> int:
        """How many Gaussians all mixtures have."""
        return len(self.weight)

    @property
    def dim(self) -> int:
        """Of the features."""
        return int(self.mean.shape[1])

    @cached_property
    def inv_var(self) -> NDArray[np.float32]:
        """1 / variance: float32 [G, D]."""
        return (1.0 / self.variance).astype(np.float32)

    @cached_property
    def scaled_mean(self) -> NDArray[np.float32]:
        """mean / variance: float32 [G, D]."""
        return (self.mean / self.variance).astype(np.float32)

    @cached_property
    def gconst(self) -> NDArray[np.float32]:
        """What of a Gaussian's weighted log-likelihood no feature changes: float32 [G]."""
        quadratic = np.log(self.variance) + self.mean**2 / self.variance
        constant = np.log(self.weight) - 0.5 * (
            self.dim * math.log(2.0 * math.pi) + quadratic.sum(axis=1)
        )
        return constant.astype(np.float32)

    @cached_property
    def _coefficients(self) -> NDArray[np.float32]:
        """[2D + 1, G], to be multiplied by features, their squares, and 1."""
        parts = (self.scaled_mean.T, -0.5 * self.inv_var.T, self.gconst[None])
        return np.ascontiguousarray(np.concatenate(parts), np.float32)

    def loglikes(
        self, features: NDArray[np.float32], pdfs: NDArray[np.integer] | None = None
    ) -> NDArray[np.float32]:
        """log p(feature | pdf) of each frame: float32 [T, P], or [T, N] of N chosen ``pdfs``.

        Raises:
            ModelError: the features have another dimension.
        """
        if features.ndim != 2 or features.shape[1] != self.dim:
            raise ModelError(
                f"the Gaussians take features of {self.dim} dimensions, not of shape "
                f"{features.shape}: compute the features that the model was trained on"
            )
        matrix, begin = self._coefficients, self.begin
        if pdfs is not None:
            counts = np.diff(begin)[pdfs]
            begin = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
            chosen = np.repeat(self.begin[pdfs] - begin[:-1], counts) + np.arange(begin[-1])
            matrix = np.ascontiguousarray(matrix[:, chosen])
        out = np.empty((len(features), len(begin) - 1), np.float32)
        for first in range(0, len(features), _FRAMES_AT_ONCE):
            x = features[first : first + _FRAMES_AT_ONCE].astype(np.float32)
            terms = np.concatenate([x, x * x, np.ones((len(x), 1), np.float32)], axis=1)
            kernels.log_sums(terms @ matrix, begin, out[first : first + len(x)])
        return out

    def to_tensors(self, prefix: str = "") -> dict[str, NDArray[np.generic]]:
        """The arrays by name, for a bundle."""
        names = ("begin", "weight", "mean", "variance")
        return {prefix + name: getattr(self, name) for name in names}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, NDArray[np.generic]], prefix: str = ""
    ) -> DiagGmms:
        """Inverse of :meth:`to_tensors`; ModelError if the arrays do not fit together."""
        try:
            begin = np.array(tensors[prefix + "begin"], np.int64)
            weight, mean, variance = (
                np.array(tensors[prefix + name], np.float64)
                for name in ("weight", "mean", "variance")
            )
        except KeyError as missing:
            raise ModelError(f"the model's Gaussians lack {missing}; train it again") from None
        sound = (
            begin.ndim == 1 and len(begin) > 1 and begin[0] == 0
            and bool((np.diff(begin) > 0).all()) and weight.shape == (begin[-1],)
            and mean.ndim == 2 and len(mean) == len(weight) and variance.shape == mean.shape
            and bool((weight > 0).all()) and bool((variance > 0).all())
            and bool(np.isfinite(mean).all())
        )  # fmt: skip
        if not sound:
            raise ModelError("the model's Gaussians do not fit together; train it again")
        return cls(begin, weight, mean, variance)
