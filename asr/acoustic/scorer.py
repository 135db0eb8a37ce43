"""From samples to acoustic scores: the front end and the network of one model."""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.acoustic.encoder_front_end import EncoderFrontEnd
from asr.acoustic.front_end import FrontEnd
from asr.acoustic.front_ends import read_front_end
from asr.acoustic.network import AcousticNetwork
from asr.acoustic.networks import network_of_section
from asr.acoustic.precision import Precision, arithmetic, checked_precision, quantised
from asr.bundle import ACOUSTIC_FILE, Bundle
from asr.errors import ModelError, UsageError


class AcousticScorer:
    """Scores sound by the pdfs of an acoustic model. Immutable: threads may share it.

    Args:
        front_end: makes of sound what the network takes; on the network's device.
        network: scores pdfs.
        scale: factor on the network's outputs (Kaldi's acoustic scale; 1 for chain models).
        device: "cpu", "cuda" or "cuda:N".
        precision: of the network's arithmetic.

    Raises:
        UsageError: no such device.
        ModelError: parts that do not belong together.
    """

    def __init__(
        self,
        front_end: FrontEnd,
        network: AcousticNetwork,
        scale: float = 1.0,
        device: str = "cpu",
        precision: Precision = "float32",
    ) -> None:
        self.device = torch_device(device)
        self.precision = precision
        if front_end.dim != network.feature_dim:
            raise ModelError(
                f"the network takes {network.feature_dim} features, not {front_end.dim}"
            )
        if front_end.ivector_dim != network.ivector_dim:
            raise ModelError("the network and the i-vector extractor do not belong together")
        self.front_end = front_end
        self._network = network.to(self.device).eval()
        self._scale = scale
        self.sample_rate = front_end.sample_rate
        self.num_pdfs = network.num_pdfs
        self.frame_seconds = front_end.frame_shift * network.subsampling

    @property
    def network(self) -> AcousticNetwork:
        """The network."""
        return self._network

    @property
    def scale(self) -> float:
        """The factor on the network's outputs."""
        return self._scale

    def scores(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scores of one utterance: float32 [N] samples to float32 [frames, pdfs].

        A frame stands for ``frame_seconds``. Sound shorter than one window has no frames.
        """
        return self.scores_and_features(samples)[0]

    @torch.inference_mode()
    def scores_and_features(
        self, samples: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], Tensor | None]:
        """As :meth:`scores`, and the features behind them, [T, dim]; None of sound too short."""
        if len(samples) < self.front_end.shortest:
            return np.zeros((0, self.num_pdfs), np.float32), None
        feats, ivector = self.front_end.inputs(samples)
        with self.arithmetic():
            scores, _ = self._network(feats[None], None if ivector is None else ivector[None])
        result: NDArray[np.float32] = (scores[0] * self._scale).float().cpu().numpy()
        return result, feats

    def arithmetic(self) -> AbstractContextManager[None]:
        """What the network is run in."""
        return arithmetic(self.precision, self.device)

    def in_precision(self, name: str) -> AcousticScorer:
        """The same with other arithmetic (:data:`~asr.acoustic.precision.PRECISIONS`).

        Raises:
            UsageError: there is no such, this device has it not, or the network has no layers
                for it.
        """
        precision = checked_precision(name, self.device)
        if precision == "float32":
            return self
        front_end, network = self.front_end, self._network
        if precision == "int8":
            network = quantised(network)
        if isinstance(front_end, EncoderFrontEnd):
            front_end = front_end.in_precision(precision)
        return AcousticScorer(front_end, network, self._scale, str(self.device), precision)

    @classmethod
    def from_bundle(cls, bundle: Bundle, device: str = "cpu") -> AcousticScorer:
        """The acoustic part of a model on disk.

        Raises:
            ModelError: it cannot be understood, or needs an encoder that is not at hand.
            UsageError: no such device.
        """
        where = torch_device(device)
        sections = bundle.manifest.sections

        def tensors(name: str) -> dict[str, NDArray[np.generic]] | None:
            return bundle.tensors(name) if name in bundle.files else None

        try:
            front_end = read_front_end(sections, tensors, where)
            acoustic = sections["acoustic"]
            arrays = bundle.tensors(ACOUSTIC_FILE)
            weights = {name: torch.from_numpy(np.array(a)) for name, a in arrays.items()}
            network = network_of_section(acoustic, weights)
            scale = float(acoustic["scale"])
        except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
            raise ModelError(
                f"the bundle describes its acoustic model in a way that cannot be read "
                f"({error!r}): import the model again"
            ) from error
        return cls(front_end, network, scale, device)


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
