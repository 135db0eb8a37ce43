"""Acoustic scores of sound that arrives in pieces, a little behind it.

A TDNN waits for its right context only, and its i-vector is that of what was said so far. An
encoder hears a whole window at once: the last seconds are encoded again with each piece, and what
lies so far back that the sound to come changes it little is given out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.acoustic.front_end import PAUSE_KEPT, SPEECH_GATE, SpectralFrontEnd
from asr.acoustic.nnet import Nnet
from asr.acoustic.scorer import AcousticScorer
from asr.errors import UsageError
from asr.features.ivector import IvectorStream
from asr.features.loudness import frame_powers, ratio, speech_power
from asr.features.noise_floor import NOISE_PERIOD, add_noise
from asr.features.stream import FeatureStream

Scores = NDArray[np.float32]
LEVEL_FRAMES = 3000
"""Frames back to which the level of the speech is taken from."""


@dataclass(frozen=True, slots=True)
class WindowConfig:
    """Of networks that hear a whole window at once.

    Attributes:
        left: seconds heard before the first frame that is scored.
        right: seconds heard behind the last one.
    """

    left: float = 2.5
    right: float = 0.4

    def __post_init__(self) -> None:
        if not (0 <= self.left < math.inf and 0 <= self.right < math.inf):
            raise UsageError("a window of a live scorer has contexts of 0 seconds or more")


class LiveScorer(Protocol):
    """Scores one segment's frames in order."""

    def accept(self, samples: NDArray[np.float32]) -> Scores:
        """Take float32 [n] samples; float32 [m, pdfs] of the frames that are ready now."""
        ...

    def finish(self) -> Scores:
        """The last frames; the segment ends here."""
        ...


class Speaker:
    """What is known of a recording's voice so far; segments hand it on.

    Attributes:
        powers: float64 [T], mean squares of the frames so far, the last ``LEVEL_FRAMES``.
        ivectors: statistics of its i-vector, where the model takes any.
    """

    def __init__(self, scorer: AcousticScorer) -> None:
        self.powers: NDArray[np.float64] = np.zeros(0)
        front_end = scorer.front_end
        extractor = front_end.ivectors if isinstance(front_end, SpectralFrontEnd) else None
        self.ivectors: IvectorStream | None = None if extractor is None else extractor.stream()


def live_scorer(
    scorer: AcousticScorer, speaker: Speaker, window: WindowConfig | None = None
) -> LiveScorer:
    """A scorer of a new segment: exact chunks where the network allows them, else windows."""
    if isinstance(scorer.front_end, SpectralFrontEnd) and isinstance(scorer.network, Nnet):
        return ChunkScorer(scorer, speaker)
    return WindowScorer(scorer, window or WindowConfig())


class ChunkScorer:
    """Of a time-delay network on spectral features: each frame is computed once."""

    def __init__(self, scorer: AcousticScorer, speaker: Speaker) -> None:
        assert isinstance(scorer.front_end, SpectralFrontEnd)
        assert isinstance(scorer.network, Nnet)
        self._scorer, self._speaker = scorer, speaker
        self._front_end, self._network = scorer.front_end, scorer.network
        self._features = FeatureStream(self._front_end.features)
        self._tail = np.zeros(0, np.float32)  # samples that later frames' powers still need
        self._samples = 0
        self._since_speech = PAUSE_KEPT + 1
        self._frames: Tensor | None = None  # features from the first that is still needed on

    @torch.inference_mode()
    def accept(self, samples: NDArray[np.float32]) -> Scores:
        """See :class:`LiveScorer`."""
        if not len(samples):
            return self._none()
        level, near = self._level(samples)
        noisy = _with_noise(samples, level * ratio(self._front_end.noise_floor), self._samples)
        self._samples += len(samples)
        self._take(self._features.accept(torch.from_numpy(noisy).to(self._scorer.device)), near)
        return self._ready(final=False)

    @torch.inference_mode()
    def finish(self) -> Scores:
        """See :class:`LiveScorer`."""
        if self._samples >= self._front_end.shortest:
            self._take(self._features.finish(), np.zeros(0, bool))
        return self._ready(final=True)

    def _level(self, samples: NDArray[np.float32]) -> tuple[float, NDArray[np.bool_]]:
        """How loud the speech is so far, and which of the new frames are near speech."""
        frame = self._front_end.frame
        held = np.concatenate([self._tail, samples])
        powers = frame_powers(held, frame.window_size, frame.window_shift)
        self._tail = held[len(powers) * frame.window_shift :]
        self._speaker.powers = np.append(self._speaker.powers, powers)[-LEVEL_FRAMES:]
        level = speech_power(self._speaker.powers)
        near = np.zeros(len(powers), bool)
        for place, loud in enumerate(powers >= level * ratio(SPEECH_GATE)):
            self._since_speech = 0 if loud else self._since_speech + 1
            near[place] = self._since_speech <= PAUSE_KEPT
        return level, near

    def _take(self, feats: Tensor, near: NDArray[np.bool_]) -> None:
        if not len(feats):
            return
        if self._speaker.ivectors is not None:
            counted = torch.ones(len(feats), dtype=torch.bool, device=feats.device)
            length = min(len(near), len(feats))
            counted[:length] = torch.from_numpy(near[:length]).to(feats.device)
            self._speaker.ivectors.accept(feats[counted])
        if self._frames is None:  # the first frame stands for those before it, as in Kaldi
            self._frames = feats[:1].expand(self._network.left_context, -1)
        self._frames = torch.cat([self._frames, feats])

    def _ready(self, *, final: bool) -> Scores:
        """Scores of the outputs whose context has arrived."""
        if self._frames is None:
            return self._none()
        network, frames, step = self._network, self._frames, self._network.subsampling
        context = network.left_context + network.right_context
        if final:
            outputs = -(-(len(frames) - network.left_context) // step)
            missing = context + (outputs - 1) * step + 1 - len(frames)
            frames = torch.cat([frames, frames[-1:].expand(max(0, missing), -1)])
        else:
            outputs = (len(frames) - context - 1) // step + 1
        if outputs < 1:
            return self._none()
        ivectors = self._speaker.ivectors
        ivector = None if ivectors is None else ivectors.ivector()[None]
        used = frames[: context + (outputs - 1) * step + 1]
        scores = network.forward_context(used[None], ivector)[0] * self._scorer.scale
        self._frames = frames[outputs * step :].clone()
        return np.asarray(scores.float().cpu().numpy())

    def _none(self) -> Scores:
        return np.zeros((0, self._scorer.num_pdfs), np.float32)


class WindowScorer:
    """Of any network: a window that ends with the newest sound is scored anew each time."""

    def __init__(self, scorer: AcousticScorer, config: WindowConfig) -> None:
        self._scorer = scorer
        self._size = round(scorer.frame_seconds * scorer.sample_rate)  # samples a frame
        self._left = math.ceil(config.left / scorer.frame_seconds)
        self._right = math.ceil(config.right / scorer.frame_seconds)
        self._held = np.zeros(0, np.float32)
        self._begin = 0  # frame of the first sample that is held
        self._done = 0

    def accept(self, samples: NDArray[np.float32]) -> Scores:
        """See :class:`LiveScorer`."""
        self._held = np.concatenate([self._held, samples])
        until = self._begin + len(self._held) // self._size - self._right
        if until <= self._done:
            return np.zeros((0, self._scorer.num_pdfs), np.float32)
        return self._given(self._scorer.scores(self._held), until)

    def finish(self) -> Scores:
        """See :class:`LiveScorer`."""
        scores = self._scorer.scores(self._held)
        return self._given(scores, self._begin + len(scores))

    def _given(self, scores: Scores, until: int) -> Scores:
        given = scores[self._done - self._begin : until - self._begin]
        self._done += len(given)
        begin = max(self._begin, self._done - self._left)
        self._held = self._held[(begin - self._begin) * self._size :]
        self._begin = begin
        return given


def _with_noise(samples: NDArray[np.float32], power: float, start: int) -> NDArray[np.float32]:
    """The noise of :func:`add_noise` under samples from ``start`` on."""
    padded = np.zeros(start % NOISE_PERIOD + len(samples), np.float32)
    padded[start % NOISE_PERIOD :] = samples
    return add_noise(padded, power)[start % NOISE_PERIOD :]
