"""Mel filterbank energies of batched waveforms, equal to Kaldi's compute-fbank-feats.

`MelExtractor` does what filterbanks and cepstra share. Frames are a strided view of the samples,
worked through in blocks small enough for the processor's cache: each block is centred,
pre-emphasised and windowed in three passes, transformed by one batched real FFT, and its mel
energies are one matrix product.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

from asr.errors import AudioError, UsageError
from asr.features.config import FbankConfig, FeatureConfig, FrameConfig
from asr.features.mel import mel_banks
from asr.features.window import frame_lengths, frames_view, num_frames, window_function

EPSILON = torch.finfo(torch.float32).eps
CPU_BLOCK = 512  # frames; larger gains under 5% and leaves the cache
DEVICE_BLOCK = 1 << 14  # frames; an accelerator wants few large calls
MIN_ROWS = 16


class MelExtractor(ABC):
    """Waveforms to features; safe to share between threads. See `Fbank` and `Mfcc`."""

    def __init__(self, config: FeatureConfig) -> None:
        self.frame: FrameConfig = config.frame
        self.dim: int = config.dim
        self._use_energy = config.use_energy
        self._raw_energy = config.raw_energy
        self._energy_floor = config.energy_floor
        self._htk_mode = config.mel.htk_mode
        self._window = window_function(config.frame)
        weights = torch.from_numpy(mel_banks(config.frame, config.mel))
        self._banks = weights.t().contiguous()
        self._magnitude = False
        self._on_device: dict[tuple[str, torch.device], Tensor] = {}

    @abstractmethod
    def _finish(self, mel_energies: Tensor, log_energy: Tensor | None, out: Tensor) -> None:
        """Write the features of (n, num_mel_bins) linear energies, which may be overwritten."""

    @torch.no_grad()
    def __call__(self, samples: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Compute the features of a batch.

        Args:
            samples: (B, N) float32 in [-1, 1], rows padded to the longest.
            lengths: (B,) samples of each row; None means all N.

        Returns:
            Features, float32 of shape (B, T, dim), on the samples' device; frames past a row's
            own are zero. And int64 frame counts of shape (B,); a row shorter than a frame has none
            (with ``snip_edges`` false: shorter than half a shift).

        Raises:
            AudioError: a sample that is not finite.
            UsageError: samples or lengths of the wrong shape or type.
        """
        lengths = _check_batch(samples, lengths)
        counts = frame_lengths(lengths, self.frame)
        frames = frames_view(samples, lengths, self.frame)
        features = self.from_frames(frames)
        if lengths.numel() and not bool((counts == frames.shape[1]).all()):
            past = torch.arange(frames.shape[1], device=samples.device) >= counts.unsqueeze(1)
            features.masked_fill_(past.unsqueeze(2), 0.0)
        return features, counts

    @torch.no_grad()
    def from_frames(self, frames: Tensor) -> Tensor:
        """Features of given frames: (B, T, window_size) samples in [-1, 1] to (B, T, dim).

        The frames may be an overlapping view; they are only read.
        """
        batch, count = frames.shape[:2]
        features = frames.new_empty(batch, count, self.dim)
        limit = CPU_BLOCK if frames.device.type == "cpu" else DEVICE_BLOCK
        spare = _Workspace(self.frame, min(limit, max(batch * count, 1)), frames.device)
        for rows, columns in _blocks(batch, count, limit):
            energies, log_energy = self._mel_energies(frames[rows, columns], spare)
            self._finish(energies, log_energy, features[rows, columns].view(-1, self.dim))
        return features

    def num_frames(self, num_samples: int, flush: bool = True) -> int:
        """Frames in a waveform; see `asr.features.window.num_frames`."""
        return num_frames(num_samples, self.frame, flush)

    def _mel_energies(self, block: Tensor, spare: _Workspace) -> tuple[Tensor, Tensor | None]:
        """(n, num_mel_bins) linear energies and, if asked for, (n,) log energies of a block."""
        count = block.shape[0] * block.shape[1]
        centred, padded = spare.centred[:count], spare.padded[:count]
        spectrum, power = spare.spectrum[:count], spare.power[:count]
        size = self.frame.window_size
        signal = centred[:, 1:]
        torch.mul(block, self.frame.sample_scale, out=signal.view(block.shape))
        if self.frame.dither:
            signal.add_(torch.randn_like(signal), alpha=self.frame.dither)
        if self.frame.remove_dc_offset:
            signal.sub_(signal.mean(1, keepdim=True))
        log_energy = self._log_energy(signal) if self._raw_energy else None
        centred[:, 0] = signal[:, 0]  # the sample before the frame counts as equal to its first
        windowed = padded[:, :size]
        # Two roundings, as in Kaldi; a fused multiply-add would be closer to the truth but farther
        # from Kaldi in bins so weak that they are all rounding.
        torch.mul(centred[:, :-1], self.frame.preemphasis_coefficient, out=windowed)
        torch.sub(signal, windowed, out=windowed)
        windowed.mul_(self._constant("_window", block.device))
        if not self._raw_energy:
            log_energy = self._log_energy(windowed)
        torch.fft.rfft(padded, out=spectrum)
        parts = torch.view_as_real(spectrum)
        torch.mul(parts[..., 0], parts[..., 0], out=power)
        power.addcmul_(parts[..., 1], parts[..., 1])
        if self._magnitude:
            power.sqrt_()
        energies = row_product(power, self._constant("_banks", block.device))
        return (energies.clamp_(min=1.0) if self._htk_mode else energies), log_energy

    def _log_energy(self, signal: Tensor) -> Tensor | None:
        if not self._use_energy:
            return None
        log_energy = signal.square().sum(1).clamp_(min=EPSILON).log_()
        if self._energy_floor > 0.0:
            log_energy.clamp_(min=math.log(self._energy_floor))
        return log_energy

    def _constant(self, name: str, device: torch.device) -> Tensor:
        """A constant of this object on the samples' device, copied there once."""
        value: Tensor = getattr(self, name)
        if value.device == device:
            return value
        key = (name, device)
        if key not in self._on_device:
            self._on_device[key] = value.to(device)
        return self._on_device[key]


class Fbank(MelExtractor):
    """Mel filterbank energies: ``Fbank(config)(samples, lengths) -> (features, frame_lengths)``.

    >>> import torch
    >>> features, counts = Fbank()(torch.zeros(1, 16000))
    >>> features.shape, counts
    (torch.Size([1, 98, 23]), tensor([98]))

    Raises:
        UsageError: mel bins or cutoff frequencies that do not suit the sampling rate.
    """

    def __init__(self, config: FbankConfig | None = None) -> None:
        self.config = config or FbankConfig()
        super().__init__(self.config)
        self._magnitude = not self.config.use_power

    def _finish(self, mel_energies: Tensor, log_energy: Tensor | None, out: Tensor) -> None:
        offset = 0
        if log_energy is not None:
            offset = 0 if self.config.htk_compat else 1
            out[:, -1 if self.config.htk_compat else 0] = log_energy
        target = out[:, offset : offset + mel_energies.shape[1]]
        if self.config.use_log_fbank:
            torch.log(mel_energies.clamp_(min=EPSILON), out=target)
        else:
            target.copy_(mel_energies)


def row_product(rows: Tensor, weights: Tensor) -> Tensor:
    """``rows @ weights`` where a row's result does not depend on how many rows there are.

    BLAS multiplies a handful of rows by other kernels that round otherwise; a stream's short
    pieces would then differ in the last bit from the whole utterance.
    """
    count = rows.shape[0]
    if count >= MIN_ROWS:
        return rows @ weights
    return (torch.nn.functional.pad(rows, (0, 0, 0, MIN_ROWS - count)) @ weights)[:count]


class _Workspace:
    """Buffers that a call's blocks share; `padded` keeps zeros behind the window."""

    def __init__(self, frame: FrameConfig, count: int, device: torch.device) -> None:
        bins = frame.padded_size // 2 + 1
        self.centred = torch.empty(count, frame.window_size + 1, device=device)
        self.padded = torch.zeros(count, frame.padded_size, device=device)
        self.spectrum = torch.empty(count, bins, dtype=torch.complex64, device=device)
        self.power = torch.empty(count, bins, device=device)


def _blocks(batch: int, count: int, limit: int) -> Iterator[tuple[slice, slice]]:
    """Cut (batch, count) frames into pieces of at most ``limit``.

    A piece is several whole rows or a part of one, so that of a contiguous tensor it is contiguous.
    """
    if count == 0:
        return
    rows = max(1, limit // count)
    for row in range(0, batch, rows):
        for column in range(0, count, limit):
            yield slice(row, row + rows), slice(column, min(column + limit, count))


def _check_batch(samples: Tensor, lengths: Tensor | None) -> Tensor:
    if samples.dim() != 2 or samples.dtype != torch.float32:
        raise UsageError(
            "Features take samples as a float32 tensor of shape (batch, samples), not "
            f"{samples.dtype} of shape {tuple(samples.shape)}."
        )
    batch, size = samples.shape
    if lengths is None:
        lengths = torch.full((batch,), size, dtype=torch.int64)
    elif lengths.shape != (batch,) or bool(((lengths < 0) | (lengths > size)).any()):
        raise UsageError(f"lengths must be {batch} sample counts between 0 and {size}.")
    lengths = lengths.to(device=samples.device, dtype=torch.int64)
    # One sum tells whether all is well; only if not, look which samples are to blame.
    if not bool(samples.sum().isfinite()):
        inside = torch.arange(size, device=samples.device) < lengths.unsqueeze(1)
        if bool((inside & ~samples.isfinite()).any()):
            raise AudioError("The audio holds samples that are not finite: repair or re-record it.")
    return lengths
