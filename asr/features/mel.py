"""Triangular mel filters with optional VTLN (Kaldi feat/mel-computations.cc).

Everything is computed in float32 in Kaldi's order of operations: a filter so narrow that it
holds a single FFT bin at its very edge has a weight near 0, whose rounding shows in the logarithm.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from asr.errors import UsageError
from asr.features.config import FrameConfig, MelConfig

FloatArray = NDArray[np.float32]


def mel_scale(freq: FloatArray | float) -> FloatArray:
    """Hz to mel: 1127 ln(1 + f/700)."""
    ratio = np.float32(1.0) + np.asarray(freq, dtype=np.float32) / np.float32(700.0)
    return np.asarray(np.float32(1127.0) * np.log(ratio), dtype=np.float32)


def inverse_mel_scale(mel: FloatArray | float) -> FloatArray:
    """Mel to Hz."""
    exponent = np.asarray(mel, dtype=np.float32) / np.float32(1127.0)
    return np.asarray(np.float32(700.0) * (np.exp(exponent) - np.float32(1.0)), dtype=np.float32)


def cutoffs(frame: FrameConfig, mel: MelConfig) -> tuple[float, float]:
    """The filters' lowest and highest frequency in Hz.

    Raises:
        UsageError: the range is empty or reaches beyond the Nyquist frequency.
    """
    nyquist = 0.5 * frame.sample_frequency
    low = mel.low_freq
    high = mel.high_freq if mel.high_freq > 0 else nyquist + mel.high_freq
    if not (0.0 <= low < high <= nyquist):
        raise UsageError(
            f"--low-freq {low:g} and --high-freq {high:g} must be ordered and lie between 0 and "
            f"half the sampling rate, {nyquist:g} Hz."
        )
    return low, high


def mel_banks(frame: FrameConfig, mel: MelConfig) -> FloatArray:
    """Filter weights, float32 of shape (num_mel_bins, padded_size // 2 + 1).

    The Nyquist bin has weight 0, as in Kaldi.

    Raises:
        UsageError: bad cutoffs or VTLN range, or so many bins that one holds no FFT bin.
    """
    low, high = cutoffs(frame, mel)
    num_fft_bins = frame.padded_size // 2
    width = np.float32(frame.sample_frequency) / np.float32(frame.padded_size)
    mel_low, mel_high = mel_scale(low), mel_scale(high)
    delta = (mel_high - mel_low) / np.float32(mel.num_mel_bins + 1)
    steps = np.arange(mel.num_mel_bins, dtype=np.float32)
    left = mel_low + steps * delta
    center = mel_low + (steps + np.float32(1)) * delta
    right = mel_low + (steps + np.float32(2)) * delta
    if mel.vtln_warp != 1.0:
        left, center, right = (_warp_mel(edge, frame, mel) for edge in (left, center, right))
    fft_mel = mel_scale(width * np.arange(num_fft_bins, dtype=np.float32))
    left, center, right = left[:, None], center[:, None], right[:, None]
    rising = (fft_mel - left) / (center - left)
    falling = (right - fft_mel) / (right - center)
    weights = np.where(fft_mel <= center, rising, falling)
    weights = np.where((fft_mel > left) & (fft_mel < right), weights, np.float32(0))
    if not weights.any(axis=1).all():
        raise UsageError(
            f"--num-mel-bins {mel.num_mel_bins} is too many for an FFT of {frame.padded_size} "
            "points: some mel bin would be empty."
        )
    if mel.htk_mode and mel_low != 0.0:
        weights[0, weights[0].nonzero()[0][0]] = 0.0  # a bug of HTK that Kaldi's option copies
    return np.pad(weights, ((0, 0), (0, 1))).astype(np.float32)


def _warp_mel(mels: FloatArray, frame: FrameConfig, mel: MelConfig) -> FloatArray:
    return mel_scale(vtln_warp_freq(inverse_mel_scale(mels), frame, mel))


def vtln_warp_freq(freq: FloatArray, frame: FrameConfig, mel: MelConfig) -> FloatArray:
    """Piecewise linear VTLN: slope 1/warp in the middle, the ends fixed (MelBanks::VtlnWarpFreq).

    Raises:
        UsageError: the inflection points do not lie in order within the filters' range.
    """
    low, high = cutoffs(frame, mel)
    vtln_low = mel.vtln_low
    nyquist = 0.5 * frame.sample_frequency
    vtln_high = mel.vtln_high if mel.vtln_high >= 0 else nyquist + mel.vtln_high
    if not low < vtln_low < vtln_high < high:
        raise UsageError(
            f"--vtln-low {vtln_low:g} and --vtln-high {vtln_high:g} must lie in order between the "
            f"cutoff frequencies {low:g} and {high:g} Hz."
        )
    one = np.float32(1.0)
    least, most, warp = np.float32(low), np.float32(high), np.float32(mel.vtln_warp)
    lower = np.float32(vtln_low) * max(one, warp)
    upper = np.float32(vtln_high) * min(one, warp)
    scale = one / warp
    slope_left = (scale * lower - least) / (lower - least)
    slope_right = (most - scale * upper) / (most - upper)
    freq = np.asarray(freq, dtype=np.float32)
    warped = np.where(freq < lower, least + slope_left * (freq - least), scale * freq)
    warped = np.where(freq < upper, warped, most + slope_right * (freq - most))
    outside = (freq < least) | (freq > most)
    return np.asarray(np.where(outside, freq, warped), dtype=np.float32)
