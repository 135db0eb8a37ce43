"""Cutting a batch of waveforms into frames, and the window function (Kaldi feature-window.cc)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from asr.features.config import FrameConfig


def window_function(config: FrameConfig) -> Tensor:
    """The window, float32 of shape (window_size,), computed in float64 as Kaldi does."""
    size = config.window_size
    phase = 2 * math.pi / (size - 1) * torch.arange(size, dtype=torch.float64)
    hanning = 0.5 - 0.5 * torch.cos(phase)
    if config.window_type == "hanning":
        window = hanning
    elif config.window_type == "povey":
        window = hanning.clamp_(min=0.0).pow(0.85)
    elif config.window_type == "hamming":
        window = 0.54 - 0.46 * torch.cos(phase)
    elif config.window_type == "sine":
        window = torch.sin(0.5 * phase)
    elif config.window_type == "blackman":
        coeff = config.blackman_coeff
        window = coeff - 0.5 * torch.cos(phase) + (0.5 - coeff) * torch.cos(2 * phase)
    else:
        window = torch.ones_like(phase)
    return window.float()


def first_sample(frame: int, config: FrameConfig) -> int:
    """Where a frame begins; negative at the left edge when ``snip_edges`` is false."""
    start = frame * config.window_shift
    if config.snip_edges:
        return start
    return start + config.window_shift // 2 - config.window_size // 2


def num_frames(num_samples: int, config: FrameConfig, flush: bool = True) -> int:
    """Frames in ``num_samples`` samples.

    ``flush=False`` counts only the frames that samples still to come cannot change, which
    matters when ``snip_edges`` is false: the last frames then reflect the signal's end.
    """
    size, shift = config.window_size, config.window_shift
    if config.snip_edges:
        return 0 if num_samples < size else 1 + (num_samples - size) // shift
    if flush:
        return (num_samples + shift // 2) // shift
    fitting = num_samples - size - first_sample(0, config)
    return 0 if fitting < 0 else 1 + fitting // shift


def frame_lengths(lengths: Tensor, config: FrameConfig) -> Tensor:
    """`num_frames` for int64 sample counts of shape (B,)."""
    size, shift = config.window_size, config.window_shift
    if config.snip_edges:
        return torch.div(lengths - size, shift, rounding_mode="floor").add_(1).clamp_(min=0)
    return torch.div(lengths + shift // 2, shift, rounding_mode="floor")


def frames_view(samples: Tensor, lengths: Tensor, config: FrameConfig) -> Tensor:
    """All frames of a batch, overlapping and not yet windowed.

    Args:
        samples: (B, N) float32, each row valid up to its length.
        lengths: (B,) int64.

    Returns:
        (B, T, window_size), T the longest row's frame count; a strided view, not to be written
        to. Frames past a row's own count hold whatever follows and must be masked.
    """
    longest = int(lengths.max()) if lengths.numel() else 0
    count = num_frames(longest, config)
    size, shift = config.window_size, config.window_shift
    if count == 0:
        return samples.new_zeros(samples.shape[0], 0, size)
    if not config.snip_edges:
        start = first_sample(0, config)
        stop = first_sample(count - 1, config) + size
        samples = samples.gather(1, reflected_index(start, stop, lengths.unsqueeze(1)))
    samples = samples.contiguous()
    return samples.as_strided((samples.shape[0], count, size), (samples.stride(0), shift, 1))


def reflected_index(start: int, stop: int, lengths: Tensor) -> Tensor:
    """Indices of the samples at positions ``start`` to ``stop``, which may lie outside a signal.

    Signals extend beyond their ends as ``... 1 0 | 0 1 ... n-1 | n-1 n-2 ...``. Kaldi repeats the
    reflection until the index falls inside, which is a period of 2n samples; this holds for
    signals shorter than a frame, too.

    Args:
        lengths: int64 of shape (..., 1).

    Returns:
        int64 of shape (..., stop - start), between 0 and the length (0 where that is 0).
    """
    positions = torch.arange(start, stop, device=lengths.device)
    period = 2 * lengths.clamp(min=1)
    index = torch.remainder(positions, period)
    return torch.minimum(index, period - 1 - index)
