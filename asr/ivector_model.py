"""An i-vector extractor of one's own on disk, and the features that it is trained on.

It is a bundle without a network: the sections and arrays that a whole model has, so that whatever
reads a model's extractor reads this one.
"""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from asr.acoustic.front_end import feature_section, frames_for_ivector, over_noise_floor
from asr.bundle import IVECTOR_FILE, Manifest, open_bundle, write_bundle
from asr.errors import DataError, ModelError, UsageError
from asr.features.config import MelConfig, MfccConfig, from_options
from asr.features.ivector import IvectorConfig, IvectorParams
from asr.features.mfcc import Mfcc

HIRES_MFCC = MfccConfig(
    mel=MelConfig(num_mel_bins=40, high_freq=-400.0), num_ceps=40, use_energy=False
)
"""As many cepstra as mel bins (Kaldi's conf/mfcc_hires.conf): what chain models take."""


class FlooredMfcc:
    """MFCC over a noise floor, as :class:`asr.acoustic.front_end.SpectralFrontEnd` computes them.

    Args:
        config: of the features.
    """

    def __init__(self, config: MfccConfig = HIRES_MFCC) -> None:
        self._mfcc = Mfcc(config)
        self._frame = config.frame

    def __call__(self, samples: NDArray[np.float32]) -> Tensor:
        """All frames: float32 [N] samples → float32 [T, C].

        Raises:
            DataError: sound shorter than one frame.
        """
        return self._computed(samples)[0]

    def _computed(self, samples: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        """Frames, and which are speech or near it."""
        if len(samples) < self._frame.window_size:
            raise DataError("the sound is shorter than one frame; leave it out")
        sound, near_speech = over_noise_floor(samples, self._frame)
        return self._mfcc(sound[None])[0][0], near_speech


class SpeechMfcc(FlooredMfcc):
    """The frames that i-vectors are made of: those of speech and the pauses beside it."""

    def __call__(self, samples: NDArray[np.float32]) -> Tensor:
        """The chosen frames: float32 [N] samples → float32 [T, C].

        Raises:
            DataError: sound shorter than one frame.
        """
        return frames_for_ivector(*self._computed(samples))


def write_extractor(
    path: str | os.PathLike[str],
    params: IvectorParams,
    config: IvectorConfig,
    features: MfccConfig,
    licence: str = "",
    attribution: str = "",
) -> None:
    """Write an extractor to the folder ``path``, which appears whole and replaces an older one.

    Args:
        path: the folder.
        params: the arrays.
        config: how statistics are gathered.
        features: the MFCC that it takes.
        licence: terms under which it may be passed on.
        attribution: whom to name.

    Raises:
        ModelError: something other than a bundle is at ``path``, or arrays that do not fit.
    """
    params.validate(config)
    manifest = Manifest(
        name="ivector-extractor",
        language="ko",
        sample_rate=round(features.frame.sample_frequency),
        licence=licence,
        attribution=attribution,
        sections={"features": feature_section(features), "ivector": asdict(config)},
    )
    arrays = {name: np.asarray(array) for name, array in params.to_tensors().items()}
    write_bundle(path, manifest, {IVECTOR_FILE: arrays})


def read_extractor(
    path: str | os.PathLike[str],
) -> tuple[IvectorParams, IvectorConfig, MfccConfig]:
    """The extractor of any bundle that has one, and the features that it takes.

    Raises:
        ModelError: no bundle, a damaged one, or one without an extractor.
    """
    bundle = open_bundle(Path(path))
    if IVECTOR_FILE not in bundle.files:
        raise ModelError(f"{path} has no i-vector extractor: train one with `asr train-ivector`")
    params = IvectorParams.from_tensors(bundle.tensors(IVECTOR_FILE))
    sections = bundle.manifest.sections
    try:
        config = IvectorConfig(**sections["ivector"])
        features = from_options(MfccConfig, sections["features"]["options"])
    except (KeyError, TypeError, UsageError) as error:
        raise ModelError(
            f"the extractor in {path} cannot be understood ({error!r}): train it again"
        ) from error
    params.validate(config)
    return params, config, features
