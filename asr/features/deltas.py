"""Time context: derivatives and splicing (Kaldi feat/feature-functions.cc).

Both repeat an utterance's first and last frame beyond its ends.
"""

from __future__ import annotations

import torch
from torch import Tensor

from asr.errors import UsageError


def full_lengths(features: Tensor, lengths: Tensor | None) -> Tensor:
    """Frame counts of a batch, int64 (B,) on its device; None means every row is full.

    Raises:
        UsageError: features not of shape (B, T, D), or lengths that do not fit them.
    """
    if features.dim() != 3:
        raise UsageError(f"Expected features (batch, frames, dim), not {tuple(features.shape)}.")
    batch, frames, _ = features.shape
    if lengths is None:
        return torch.full((batch,), frames, dtype=torch.int64, device=features.device)
    if lengths.shape != (batch,) or bool(((lengths < 0) | (lengths > frames)).any()):
        raise UsageError(f"lengths must be {batch} frame counts between 0 and {frames}.")
    return lengths.to(device=features.device, dtype=torch.int64)


def padding_mask(lengths: Tensor, frames: int) -> Tensor:
    """True at the frames past each row's own: (B, frames, 1)."""
    past = torch.arange(frames, device=lengths.device) >= lengths.unsqueeze(1)
    return past.unsqueeze(2)


def splice(features: Tensor, left: int, right: int, lengths: Tensor | None = None) -> Tensor:
    """Join each frame with its neighbours, from ``left`` before to ``right`` after it.

    Args:
        features: (B, T, D).
        lengths: (B,) frames of each row; None means all T.

    Returns:
        (B, T, (left + 1 + right) * D), earliest frame first; zero past a row's own frames.

    Raises:
        UsageError: a negative context, or shapes that do not fit.
    """
    spliced = _context(features, left, right, full_lengths(features, lengths))
    return spliced.flatten(2)


def _context(features: Tensor, left: int, right: int, lengths: Tensor) -> Tensor:
    """(B, T, left + 1 + right, D)"""
    if left < 0 or right < 0:
        raise UsageError(f"The context must not be negative: {left} before and {right} after.")
    batch, frames, dim = features.shape
    times = torch.arange(frames, device=features.device).unsqueeze(1)
    offsets = torch.arange(-left, right + 1, device=features.device)
    last = (lengths - 1).clamp(min=0).view(batch, 1, 1)
    index = torch.minimum((times + offsets).clamp(min=0), last)
    rows = torch.arange(batch, device=features.device).view(batch, 1, 1)
    spliced = features[rows, index] if frames else features.new_zeros(batch, 0, len(offsets), dim)
    return spliced.masked_fill(padding_mask(lengths, frames).unsqueeze(3), 0.0)


def delta_scales(order: int, window: int) -> Tensor:
    """Filters that give the 0th to ``order``-th derivative: (order + 1, 2 * order * window + 1).

    Each further derivative convolves the one before with the regression slope
    j / sum(j^2), j = -window..window (Kaldi DeltaFeatures).

    Raises:
        UsageError: a negative order or a window below 1.
    """
    if order < 0 or window < 1:
        raise UsageError(f"Deltas need order >= 0 and window >= 1, not {order} and {window}.")
    slope = torch.arange(-window, window + 1, dtype=torch.float64)
    slope = slope / slope.square().sum()
    middle = order * window
    scales = torch.zeros(order + 1, 2 * middle + 1, dtype=torch.float64)
    scales[0, middle] = 1.0
    for i in range(1, order + 1):
        for j in range(-window, window + 1):
            scales[i] += slope[j + window] * scales[i - 1].roll(j)
    return scales.float()


def add_deltas(
    features: Tensor, order: int = 2, window: int = 2, lengths: Tensor | None = None
) -> Tensor:
    """Append derivatives up to ``order``, as Kaldi's add-deltas.

    Args:
        features: (B, T, D).
        lengths: (B,) frames of each row; None means all T.

    Returns:
        (B, T, (order + 1) * D): features, first derivatives, second, ...; zero past a row's own
        frames.

    Raises:
        UsageError: bad order or window, or shapes that do not fit.
    """
    scales = delta_scales(order, window).to(features)
    context = _context(features, order * window, order * window, full_lengths(features, lengths))
    return torch.matmul(scales, context).flatten(2)
