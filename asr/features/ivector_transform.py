"""The projection before the background model: from spliced frames to few, decorrelated features.

Without labels it is Kaldi's PCA (steps/online/nnet2/get_pca_transform.sh, est-pca with normalised
variance); with a label on each frame, such as the phone of an alignment, linear discriminant
analysis (Haeb-Umbach and Ney 1992; Kaldi transform/lda-estimate.cc). Both are linear without an
offset, as they serve normalised and raw frames alike.
"""

from __future__ import annotations

import torch
from torch import Tensor

from asr.errors import DataError

_FLOOR = 1e-6  # of the largest eigenvalue: dimensions that hardly vary are not blown up


class SecondMoments:
    """Sums over frames, of all and of each label; float64, so that their order hardly matters.

    Args:
        dim: of the spliced frames.
    """

    def __init__(self, dim: int) -> None:
        self._count = 0.0
        self._sum = torch.zeros(dim, dtype=torch.float64)
        self._products = torch.zeros(dim, dim, dtype=torch.float64)
        self._of_label: dict[int, tuple[float, Tensor]] = {}

    def add(self, frames: Tensor, labels: Tensor | None = None) -> None:
        """Add [T, dim] frames and, if there are any, their labels, int64 [T] (−1: none)."""
        frames = frames.double()
        if labels is not None:
            frames, labels = frames[labels >= 0], labels[labels >= 0]
            for label in labels.unique().tolist():
                chosen = frames[labels == label]
                count, total = self._of_label.get(label, (0.0, torch.zeros_like(self._sum)))
                self._of_label[label] = count + len(chosen), total + chosen.sum(dim=0)
        self._count += len(frames)
        self._sum += frames.sum(dim=0)
        self._products += frames.T @ frames

    def pca(self, dim: int) -> Tensor:
        """The ``dim`` directions of most variance, each scaled to variance 1: float64 [dim, …].

        Raises:
            DataError: fewer frames than dimensions.
        """
        values, vectors = _eigen(self._covariance(dim))
        scales = values[:dim].clamp(min=_FLOOR * float(values[0])).rsqrt()
        return _signed(vectors[:, :dim].T) * scales[:, None]

    def lda(self, dim: int) -> Tensor:
        """The ``dim`` directions that tell labels apart best, variance 1 within labels.

        Raises:
            DataError: fewer frames than dimensions, or not more labels than dimensions.
        """
        if len(self._of_label) <= dim:
            raise DataError(
                f"{len(self._of_label)} labels cannot be told apart in {dim} dimensions: give "
                "more labels than dimensions, or none (PCA)"
            )
        total = self._covariance(dim)
        mean = self._sum / self._count
        between = torch.zeros_like(total)
        for count, label_sum in self._of_label.values():
            offset = label_sum / count - mean
            between += count / self._count * torch.outer(offset, offset)
        values, vectors = _eigen(total - between)
        whitening = vectors * values.clamp(min=_FLOOR * float(values[0])).rsqrt()
        _, directions = _eigen(whitening.T @ between @ whitening)
        return _signed(directions[:, :dim].T @ whitening.T)

    def _covariance(self, dim: int) -> Tensor:
        if self._count < len(self._sum) or dim > len(self._sum):
            raise DataError(
                f"{self._count:.0f} frames of {len(self._sum)} spliced coefficients do not give "
                f"{dim} directions: give more speech or ask for fewer dimensions"
            )
        mean = self._sum / self._count
        return self._products / self._count - torch.outer(mean, mean)


def _eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, largest first, and eigenvectors as columns."""
    values, vectors = torch.linalg.eigh(0.5 * (matrix + matrix.T))
    return values.flip(0), vectors.flip(1)


def _signed(rows: Tensor) -> Tensor:
    """Rows whose largest entry is positive: an eigenvector's sign is otherwise chance."""
    largest = rows.gather(1, rows.abs().argmax(dim=1, keepdim=True))
    return rows * largest.sign()
