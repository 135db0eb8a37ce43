"""From samples to acoustic scores: the features, i-vectors and network of one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.acoustic.nnet import Nnet
from asr.errors import ModelError, UsageError
from asr.features import Fbank, FbankConfig, FeatureConfig, FrameConfig, Mfcc, MfccConfig
from asr.features.config import from_options, to_options
from asr.features.ivector import IvectorConfig, IvectorExtractor, IvectorParams
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


class AcousticScorer:
    """Scores sound by the pdfs of an acoustic model. Immutable: threads may share it.

    Args:
        features: what the network takes.
        nnet: the network.
        ivectors: the extractor, or None where the network takes none.
        scale: factor on the network's outputs (Kaldi's acoustic scale; 1 for chain models).
        device: "cpu", "cuda" or "cuda:N".
        noise_floor: decibels below the speech at which faint noise is laid under the sound.

    Raises:
        UsageError: no such device.
        ModelError: parts that do not belong together.
    """

    def __init__(
        self,
        features: FeatureConfig,
        nnet: Nnet,
        ivectors: IvectorExtractor | None = None,
        scale: float = 1.0,
        device: str = "cpu",
        noise_floor: float = NOISE_FLOOR,
    ) -> None:
        self._device = torch_device(device)
        if features.dim != nnet.feature_dim:
            raise ModelError(f"the network takes {nnet.feature_dim} features, not {features.dim}")
        if (ivectors.ivector_dim if ivectors else 0) != nnet.ivector_dim:
            raise ModelError("the network and the i-vector extractor do not belong together")
        self._features = Mfcc(features) if isinstance(features, MfccConfig) else Fbank(features)
        self._nnet = nnet.to(self._device).eval()
        self._ivectors = ivectors
        self._scale = scale
        self._noise_floor = noise_floor
        self.sample_rate = round(features.frame.sample_frequency)
        self.num_pdfs = nnet.num_pdfs
        self.frame_seconds = features.frame.frame_shift * nnet.subsampling / 1000.0
        self._frame = features.frame

    @property
    def nnet(self) -> Nnet:
        """The network."""
        return self._nnet

    @property
    def scale(self) -> float:
        """The factor on the network's outputs."""
        return self._scale

    @torch.inference_mode()
    def scores(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of one utterance: float32 [N] samples to float32 [frames, pdfs].

        A frame stands for ``frame_seconds``. Sound shorter than one window has no frames.
        """
        if len(samples) < self._frame.window_size:
            return np.zeros((0, self._nnet.num_pdfs), np.float32)
        feats, ivector = self._inputs(samples)
        scores, _ = self._nnet(feats[None], None if ivector is None else ivector[None])
        result: NDArray[np.float32] = (scores[0] * self._scale).float().cpu().numpy()
        return result

    @torch.inference_mode()
    def inputs(self, samples: NDArray[np.float32]) -> tuple[Tensor, Tensor | None]:
        """What the network takes of one utterance, to train it.

        Returns:
            features float32 [T, D], i-vector float32 [S] or None.
        """
        feats, ivector = self._inputs(samples)
        return feats.clone(), None if ivector is None else ivector.clone()

    def _inputs(self, samples: NDArray[np.float32]) -> tuple[Tensor, Tensor | None]:
        sound, near_speech = over_noise_floor(samples, self._frame, self._noise_floor)
        feats = self._features(sound.to(self._device)[None])[0][0]
        if self._ivectors is None:
            return feats, None
        chosen = frames_for_ivector(feats, near_speech.to(feats.device))
        return feats, self._ivectors.extract(chosen)

    @classmethod
    def from_sections(
        cls,
        sections: Mapping[str, Any],
        nnet_tensors: Mapping[str, NDArray[np.generic]],
        ivector_tensors: Mapping[str, NDArray[np.generic]] | None,
        device: str = "cpu",
    ) -> AcousticScorer:
        """From a bundle's "features", "acoustic" and "ivector" sections and arrays.

        Raises:
            ModelError: sections that this version does not understand.
            UsageError: no such device.
        """
        torch_device(device)
        try:
            described = sections["features"]
            noise_floor = float(described["noise_floor"])
            features = _feature_config(described["type"], described["options"])
            acoustic = sections["acoustic"]
            arrays = {name: torch.from_numpy(np.array(a)) for name, a in nnet_tensors.items()}
            nnet = Nnet.from_spec(acoustic["nnet"], arrays)
            scale = float(acoustic["scale"])
            extractor = None
            if ivector_tensors is not None:
                params = IvectorParams.from_tensors(ivector_tensors)
                config = IvectorConfig(**sections["ivector"])
                extractor = IvectorExtractor(params, config, torch_device(device))
        except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
            raise ModelError(
                f"the bundle describes its acoustic model in a way that cannot be read "
                f"({error!r}): import the model again"
            ) from error
        return cls(features, nnet, extractor, scale, device, noise_floor)


def torch_device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        UsageError: it does not exist on this machine.
    """
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"no such device: {name}; use cpu, cuda or cuda:N") from None
    if device.type not in ("cpu", "cuda"):
        raise UsageError(f"{name} is not supported; use cpu, cuda or cuda:N")
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            raise UsageError(f"{name} is not available ({count} CUDA GPUs found); use cpu")
    return device
