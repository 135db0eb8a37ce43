"""From samples to what a network takes: the front end of an acoustic model.

Two kinds: MFCC or filterbanks over a noise floor, with i-vectors (Kaldi's), and the states of an
encoder that has heard much speech before (:mod:`asr.acoustic.encoder_front_end`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.features import Fbank, FbankConfig, FeatureConfig, FrameConfig, Mfcc, MfccConfig
from asr.features.config import from_options, to_options
from asr.features.ivector import IvectorExtractor
from asr.features.loudness import frame_powers, ratio, speech_power, widened
from asr.features.noise_floor import add_noise

NOISE_FLOOR = 60.0
"""Decibels below the speech; chosen on dev sets of studio and stage speech."""
SPEECH_GATE = 40.0
"""Frames further below the speech than this many decibels are taken for pauses."""
PAUSE_KEPT = 50
"""Frames of a pause beside speech that still count for the i-vector."""


def feature_section(config: FeatureConfig) -> dict[str, Any]:
    """The JSON form of a feature configuration: its type, every option and the noise floor."""
    kind = "mfcc" if isinstance(config, MfccConfig) else "fbank"
    return {"type": kind, "options": to_options(config), "noise_floor": NOISE_FLOOR}


def _feature_config(kind: str, options: Mapping[str, Any]) -> FeatureConfig:
    if kind == "mfcc":
        return from_options(MfccConfig, options)
    if kind == "fbank":
        return from_options(FbankConfig, options)
    raise ValueError(f"unknown feature type {kind!r}")


def over_noise_floor(
    samples: NDArray[np.float32], frame: FrameConfig, noise_floor: float = NOISE_FLOOR
) -> tuple[Tensor, Tensor]:
    """Sound with faint noise laid under it, and where speech is.

    Args:
        samples: float32 [N], one window at least.
        frame: of the features that will be computed.
        noise_floor: decibels of the noise below the speech.

    Returns:
        float32 [N]; bool [T], frames of speech and of the pauses beside it.
    """
    powers = frame_powers(samples, frame.window_size, frame.window_shift)
    level = speech_power(powers)
    near_speech = widened(powers >= level * ratio(SPEECH_GATE), PAUSE_KEPT)
    noisy = add_noise(samples, level * ratio(noise_floor))
    return torch.from_numpy(noisy), torch.from_numpy(near_speech)


def frames_for_ivector(feats: Tensor, near_speech: Tensor) -> Tensor:
    """The frames [M, D] of [T, D] for an i-vector, with no more of the pauses than training had."""
    return feats[: len(near_speech)][near_speech[: len(feats)]]


class FrontEnd(Protocol):
    """What a network takes of sound.

    Attributes:
        dim: width of the features.
        ivector_dim: width of the i-vectors; 0 where there are none.
        sample_rate: Hz.
        frame_shift: seconds between frames.
        shortest: samples; shorter sound has no frames.
    """

    dim: int
    ivector_dim: int
    sample_rate: int
    frame_shift: float
    shortest: int

    def inputs(self, samples: NDArray[np.float32]) -> tuple[Tensor, Tensor | None]:
        """Of one utterance: float32 [N] samples → float32 [T, dim], float32 [ivector_dim] or None.

        Both are on the front end's device.
        """
        ...

    def section(self) -> dict[str, Any]:
        """The JSON form, as a bundle's section "features" has it."""
        ...


class SpectralFrontEnd:
    """MFCC or filterbanks over a noise floor, and i-vectors. Immutable.

    Args:
        features: of the frames.
        ivectors: the extractor, or None.
        noise_floor: decibels below the speech at which faint noise is laid under the sound.
        device: where features are computed.
    """

    def __init__(
        self,
        features: FeatureConfig,
        ivectors: IvectorExtractor | None = None,
        noise_floor: float = NOISE_FLOOR,
        device: torch.device | str = "cpu",
    ) -> None:
        self.config = features
        self.ivectors = ivectors
        self.noise_floor = noise_floor
        self.features = Mfcc(features) if isinstance(features, MfccConfig) else Fbank(features)
        self.dim = features.dim
        self.ivector_dim = ivectors.ivector_dim if ivectors else 0
        self.sample_rate = round(features.frame.sample_frequency)
        self.frame_shift = features.frame.frame_shift / 1000.0
        self.frame = features.frame
        self.shortest = features.frame.window_size
        self._device = torch.device(device)

    def inputs(self, samples: NDArray[np.float32]) -> tuple[Tensor, Tensor | None]:
        """See :class:`FrontEnd`."""
        sound, near_speech = over_noise_floor(samples, self.frame, self.noise_floor)
        feats = self.features(sound.to(self._device)[None])[0][0]
        if self.ivectors is None:
            return feats, None
        chosen = frames_for_ivector(feats, near_speech.to(feats.device))
        return feats, self.ivectors.extract(chosen)

    def section(self) -> dict[str, Any]:
        """See :class:`FrontEnd`."""
        return {**feature_section(self.config), "noise_floor": self.noise_floor}

    @classmethod
    def from_section(
        cls,
        section: Mapping[str, Any],
        ivectors: IvectorExtractor | None,
        device: torch.device | str,
    ) -> SpectralFrontEnd:
        """Inverse of :meth:`section`. Raises KeyError, TypeError or ValueError."""
        config = _feature_config(section["type"], section["options"])
        return cls(config, ivectors, float(section["noise_floor"]), device)
