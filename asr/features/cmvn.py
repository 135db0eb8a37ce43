"""Cepstral mean and variance normalisation over utterances, speakers or a sliding window.

Statistics have Kaldi's form (transform/cmvn.cc): float64 of shape (2, D + 1), the first row sums
and the frame count, the second sums of squares and 0.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from asr.errors import DataError, UsageError
from asr.features.deltas import full_lengths, padding_mask

VARIANCE_FLOOR = 1e-20
SLIDING_VARIANCE_FLOOR = 1e-10


def cmvn_stats(features: Tensor, lengths: Tensor | None = None) -> Tensor:
    """Statistics of each row of (B, T, D): float64 of shape (B, 2, D + 1).

    Sum over rows for a speaker's or a corpus's.

    Raises:
        UsageError: shapes that do not fit.
    """
    lengths = full_lengths(features, lengths)
    valid = features.double().masked_fill(padding_mask(lengths, features.shape[1]), 0.0)
    stats = valid.new_zeros(features.shape[0], 2, features.shape[2] + 1)
    stats[:, 0, :-1] = valid.sum(1)
    stats[:, 1, :-1] = valid.square().sum(1)
    stats[:, 0, -1] = lengths
    return stats


def apply_cmvn(
    features: Tensor, stats: Tensor, lengths: Tensor | None = None, norm_vars: bool = False
) -> Tensor:
    """Subtract the statistics' mean and, if asked for, divide by their standard deviation.

    Args:
        features: (B, T, D).
        stats: (2, D + 1) for all rows, or (B, 2, D + 1).
        lengths: (B,) frames of each row; None means all T.
        norm_vars: also scale each dimension to unit variance.

    Returns:
        (B, T, D) in the features' type; zero past a row's own frames.

    Raises:
        DataError: statistics of no frames.
        UsageError: shapes that do not fit.
    """
    lengths = full_lengths(features, lengths)
    if stats.shape[-2:] != (2, features.shape[2] + 1):
        raise UsageError(
            f"CMVN statistics of shape {tuple(stats.shape)} do not fit "
            f"{features.shape[2]}-dimensional features."
        )
    stats = stats.to(features.device).expand(features.shape[0], -1, -1)
    if bool(((stats[:, 0, -1] < 1.0) & (lengths > 0)).any()):
        raise DataError("The CMVN statistics hold no frames: give those of at least one utterance.")
    offset, scale = _offset_and_scale(stats, norm_vars)
    out = torch.addcmul(offset.unsqueeze(1), features.double(), scale.unsqueeze(1))
    return out.to(features.dtype).masked_fill_(padding_mask(lengths, features.shape[1]), 0.0)


def _offset_and_scale(stats: Tensor, norm_vars: bool) -> tuple[Tensor, Tensor]:
    """The affine transform x * scale + offset of statistics (..., 2, D + 1): two (..., D)."""
    count = stats[..., 0, -1:].clamp(min=1.0)
    mean = stats[..., 0, :-1] / count
    if not norm_vars:
        return -mean, torch.ones_like(mean)
    variance = (stats[..., 1, :-1] / count - mean.square()).clamp_(min=VARIANCE_FLOOR)
    scale = variance.rsqrt()
    return -mean * scale, scale


def utterance_cmvn(
    features: Tensor, lengths: Tensor | None = None, norm_vars: bool = False
) -> Tensor:
    """Normalise each row of (B, T, D) by its own statistics.

    Raises:
        UsageError: shapes that do not fit.
    """
    return apply_cmvn(features, cmvn_stats(features, lengths), lengths, norm_vars)


def speaker_cmvn(
    features: Tensor,
    speakers: Sequence[Hashable],
    lengths: Tensor | None = None,
    norm_vars: bool = False,
) -> Tensor:
    """Normalise each row of (B, T, D) by the statistics of all rows of its speaker.

    Args:
        speakers: who speaks in each row.

    Raises:
        UsageError: shapes that do not fit.
    """
    if len(speakers) != features.shape[0]:
        raise UsageError(f"{len(speakers)} speakers given for {features.shape[0]} utterances.")
    stats = cmvn_stats(features, lengths)
    number = {speaker: i for i, speaker in enumerate(dict.fromkeys(speakers))}
    index = torch.tensor([number[s] for s in speakers], dtype=torch.int64, device=stats.device)
    summed = stats.new_zeros(len(number), *stats.shape[1:]).index_add_(0, index, stats)
    return apply_cmvn(features, summed[index], lengths, norm_vars)


@dataclass(frozen=True, slots=True)
class SlidingCmvnConfig:
    """Options of Kaldi's apply-cmvn-sliding (SlidingWindowCmnOptions)."""

    cmn_window: int = 600
    min_cmn_window: int = 100
    norm_vars: bool = False
    center: bool = False

    def __post_init__(self) -> None:
        if self.cmn_window < 1 or self.min_cmn_window < 1:
            raise UsageError("--cmn-window and --min-cmn-window must be positive.")


def sliding_cmvn(
    features: Tensor, lengths: Tensor | None = None, config: SlidingCmvnConfig | None = None
) -> Tensor:
    """Normalise each frame by a window around or before it (Kaldi SlidingWindowCmn).

    Args:
        features: (B, T, D).
        lengths: (B,) frames of each row; None means all T.

    Returns:
        (B, T, D) in the features' type; zero past a row's own frames.

    Raises:
        UsageError: shapes that do not fit.
    """
    config = config or SlidingCmvnConfig()
    lengths = full_lengths(features, lengths)
    start, end = _windows(lengths, features.shape[1], config)
    mask = padding_mask(lengths, features.shape[1])
    values = features.double().masked_fill(mask, 0.0)
    count = (end - start).clamp(min=1).unsqueeze(2).double()
    mean = _window_sums(values, start, end) / count
    out = values - mean
    if config.norm_vars:
        variance = _window_sums(values.square(), start, end) / count - mean.square()
        out = out * variance.clamp_(min=SLIDING_VARIANCE_FLOOR).rsqrt_()
        out = out.masked_fill(count == 1, 0.0)
    return out.to(features.dtype).masked_fill_(mask, 0.0)


def _windows(lengths: Tensor, frames: int, config: SlidingCmvnConfig) -> tuple[Tensor, Tensor]:
    """First and last-plus-one frame of every frame's window: int64 (B, T) each."""
    times = torch.arange(frames, device=lengths.device).expand(lengths.shape[0], -1)
    total = lengths.unsqueeze(1)
    if config.center:
        start = times - config.cmn_window // 2
        end = start.clamp(min=0) + config.cmn_window
    else:  # the past only, except that the first frames may look ahead to fill a minimum
        start = times - config.cmn_window
        end = (times + 1).clamp(min=config.min_cmn_window)
    start = start.clamp(min=0)
    start = (start - (end - total).clamp(min=0)).clamp(min=0)
    return start, torch.minimum(end, total)


def _window_sums(values: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """Sums of (B, T, D) over windows [start, end) by differences of prefix sums."""
    prefix = torch.nn.functional.pad(values.cumsum(1), (0, 0, 1, 0))
    rows = torch.arange(values.shape[0], device=values.device).unsqueeze(1)
    return prefix[rows, end] - prefix[rows, start.clamp(max=values.shape[1])]
