"""From the samples of many utterances to their scores at once, on one device.

What :class:`~asr.acoustic.scorer.AcousticScorer` computes for one utterance after another, in
tensors that hold them all: the noise floor, the features, the i-vectors and the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from asr.acoustic.encoder_front_end import EncoderFrontEnd
from asr.acoustic.front_end import PAUSE_KEPT, SPEECH_GATE, FrontEnd, SpectralFrontEnd
from asr.acoustic.scorer import AcousticScorer
from asr.errors import UsageError
from asr.features.batch_ivector import BatchIvectors
from asr.features.loudness import LOUD_SHARE, SPEECH_RANGE, ratio
from asr.features.noise_floor import add_noise

Inputs = tuple[Tensor, Tensor, Tensor | None]
"""Features float32 [B, T, D], frames of each int64 [B], i-vectors float32 [B, S] or None."""


class BatchScorer:
    """Scores batches of sounds as an :class:`AcousticScorer` scores each. Immutable.

    Args:
        scorer: the front end and network, and the device they are on.
    """

    def __init__(self, scorer: AcousticScorer) -> None:
        self._scorer, self._network, self._scale = scorer, scorer.network, scorer.scale
        self._front_end = _batched(scorer.front_end, scorer.device)
        self.device = scorer.device
        self.num_pdfs = scorer.num_pdfs
        self.sample_rate = scorer.sample_rate
        self.frame_seconds = scorer.frame_seconds

    @torch.inference_mode()
    def scores(self, sounds: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
        """Scores of utterances: B times float32 [N] samples.

        Returns:
            (float32 [B, frames, pdfs] on the device, zeros behind an utterance's end; int64 [B],
            frames of each). A frame stands for ``frame_seconds``; sound shorter than one window
            has none.
        """
        inputs = self._front_end(sounds)
        if inputs is None:
            empty = torch.zeros(len(sounds), 0, self.num_pdfs, device=self.device)
            return empty, torch.zeros(len(sounds), dtype=torch.int64, device=self.device)
        features, counts, ivectors = inputs
        with self._scorer.arithmetic():
            scores, output_lengths = self._network(features, ivectors, counts)
        return (scores * self._scale).float(), output_lengths


class _BatchFrontEnd(Protocol):
    def __call__(self, sounds: Sequence[NDArray[np.float32]]) -> Inputs | None:
        """What the network takes of all sounds; None where none of them has a frame."""
        ...


def _batched(front_end: FrontEnd, device: torch.device) -> _BatchFrontEnd:
    if isinstance(front_end, SpectralFrontEnd):
        return _SpectralBatches(front_end, device)
    if isinstance(front_end, EncoderFrontEnd):
        return front_end.batch
    raise UsageError(f"a {type(front_end).__name__} cannot take many sounds at once")


class _SpectralBatches:
    """What :class:`SpectralFrontEnd` computes, of many sounds at once."""

    def __init__(self, front_end: SpectralFrontEnd, device: torch.device) -> None:
        self._front_end, self._device = front_end, device
        self._extractor = BatchIvectors(front_end.ivectors) if front_end.ivectors else None
        # white noise of unit variance, of one period
        noise = add_noise(np.zeros(front_end.sample_rate, np.float32), 1.0)
        self._noise = torch.from_numpy(noise).to(device)

    def __call__(self, sounds: Sequence[NDArray[np.float32]]) -> Inputs | None:
        samples, lengths = self._padded(sounds)
        if not len(sounds) or not samples.shape[1]:
            return None
        powers, frames = self._powers(samples, lengths)
        level = _speech_powers(powers, frames)
        noisy = self._with_noise(samples, level * ratio(self._front_end.noise_floor))
        features, counts = self._front_end.features(noisy, lengths)
        return features, counts, self._ivectors(features, counts, powers, frames, level)

    def _padded(self, sounds: Sequence[NDArray[np.float32]]) -> tuple[Tensor, Tensor]:
        """Samples float32 [B, N] and their numbers; too short a sound counts as none."""
        sizes = np.array([len(sound) for sound in sounds], np.int64)
        sizes[sizes < self._front_end.shortest] = 0
        on_gpu = self._device.type == "cuda"
        # page-locked memory is copied faster, and torch keeps it for the next batch
        padded = torch.zeros(len(sounds), int(sizes.max(initial=0)), pin_memory=on_gpu)
        for row, sound, size in zip(padded.numpy(), sounds, sizes, strict=True):
            row[:size] = sound[:size]
        return padded.to(self._device), torch.from_numpy(sizes).to(self._device)

    def _powers(self, samples: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Mean squares of whole frames, float64 [B, T], −1 behind the last; and their number."""
        size, shift = self._front_end.shortest, self._front_end.frame.window_shift
        powers = F.avg_pool1d(samples.double().square()[:, None], size, shift)[:, 0]
        frames = torch.div(lengths - size, shift, rounding_mode="floor").add_(1).clamp_(min=0)
        inside = torch.arange(powers.shape[1], device=samples.device) < frames[:, None]
        return powers.masked_fill_(~inside, -1.0), frames

    def _with_noise(self, samples: Tensor, power: Tensor) -> Tensor:
        size = samples.shape[1]
        noise = self._noise.repeat(-(-size // len(self._noise)))[:size]
        return samples + power.sqrt().float()[:, None] * noise

    def _ivectors(
        self, features: Tensor, counts: Tensor, powers: Tensor, frames: Tensor, level: Tensor
    ) -> Tensor | None:
        """i-vectors [B, S] of the frames in and near speech."""
        if self._extractor is None:
            return None
        loud = (powers >= level[:, None] * ratio(SPEECH_GATE)).float()
        width = 2 * PAUSE_KEPT + 1
        near = F.max_pool1d(loud[:, None], width, 1, PAUSE_KEPT)[:, 0] > 0
        size = min(near.shape[1], features.shape[1])
        times = torch.arange(size, device=features.device)
        near = near[:, :size] & (times < torch.minimum(counts, frames)[:, None])
        chosen = near.sum(dim=1)
        order = (~near).to(torch.uint8).sort(dim=1, stable=True).indices[:, : int(chosen.max())]
        kept = features.gather(1, order[:, :, None].expand(-1, -1, features.shape[2]))
        return self._extractor.extract(kept, chosen)


def _speech_powers(powers: Tensor, frames: Tensor) -> Tensor:
    """The mean square of each sound's loud speech, float64 [B]; 0 for silence.

    As :func:`asr.features.loudness.speech_power`: a quantile, interpolated, of the speech frames.
    """
    ranked = powers.sort(dim=1, descending=True).values
    loudest = ranked[:, 0].clamp(min=0.0)
    speech = (powers >= loudest[:, None] * ratio(SPEECH_RANGE)).sum(dim=1)
    place = (1.0 - LOUD_SHARE) * (speech - 1).clamp(min=0).double()
    above = place.floor()
    louder = ranked.gather(1, above.long()[:, None])[:, 0]
    softer = ranked.gather(1, place.ceil().long()[:, None])[:, 0]
    quantile = louder + (softer - louder) * (place - above)
    return torch.where((frames > 0) & (loudest > 0), quantile, 0.0)
