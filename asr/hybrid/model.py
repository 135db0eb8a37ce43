"""A hybrid DNN-HMM in memory and on disk: a Gaussian mixture system whose states a network scores.

    model/      the system (:class:`asr.gmm.model.GmmModel`): features, transforms, HMM, tree
    network/    the network, a bundle of its own
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from asr.acoustic.network import AcousticNetwork
from asr.acoustic.networks import network_of_section, network_section
from asr.atomic import replaced_folder
from asr.bundle import ACOUSTIC_FILE, Manifest, open_bundle, write_bundle
from asr.errors import ModelError, UsageError
from asr.gmm.folder import MODEL
from asr.gmm.model import GmmModel

NETWORK = "network"
SECTION = "hybrid"


@dataclass(frozen=True, slots=True, eq=False)
class HybridModel:
    """What scores features, and what the scores stand for.

    Attributes:
        gmm: the system that the network was trained on; its Gaussians make speakers' transforms.
        network: features as the Gaussians take them → log p(pdf | sound) − log p(pdf).
    """

    gmm: GmmModel
    network: AcousticNetwork

    @torch.inference_mode()
    def loglikes(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """log p(feature | pdf) up to what is the same for all pdfs: float32 [T, pdfs] of [T, D]."""
        if not len(features):
            return np.zeros((0, self.network.num_pdfs), np.float32)
        scores, _ = self.network(torch.from_numpy(np.array(features, np.float32))[None])
        found: NDArray[np.float32] = scores[0].float().cpu().numpy()
        return found

    def save(
        self, folder: Path, history: Mapping[str, Any], licence: str = "", attribution: str = ""
    ) -> None:
        """Write both parts to a folder, whole or not at all.

        Args:
            history: JSON about the training.
            licence, attribution: of the speech.
        """
        section, weights = network_section(self.network)
        terms = licence or "that of the speech it was trained on"
        manifest = Manifest(
            name="dnn", language="ko", sample_rate=self.gmm.front_end.sample_rate,
            licence=terms, attribution=attribution,
            sections={SECTION: {}, "acoustic": section, "training": [dict(history)]},
        )  # fmt: skip
        with replaced_folder(folder) as temporary:
            self.gmm.save(temporary / MODEL, terms)
            arrays = {name: weight.detach().cpu().numpy() for name, weight in weights.items()}
            write_bundle(temporary / NETWORK, manifest, {ACOUSTIC_FILE: arrays})

    @classmethod
    def load(cls, folder: Path) -> HybridModel:
        """Read a model.

        Raises:
            ModelError: there is none, or it is damaged, or of another kind.
        """
        gmm = GmmModel.load(folder / MODEL)
        bundle = open_bundle(folder / NETWORK)
        if SECTION not in bundle.manifest.sections:
            raise ModelError(f"{folder} is not a hybrid: make it with `asr train-dnn`")
        weights = {
            name: torch.from_numpy(np.array(array))
            for name, array in bundle.tensors(ACOUSTIC_FILE).items()
        }
        try:
            network = network_of_section(bundle.manifest.sections["acoustic"], weights)
        except (KeyError, TypeError, ValueError, UsageError) as error:
            raise ModelError(f"the network in {folder} cannot be understood ({error!r}): train it"
                             " again") from error  # fmt: skip
        if network.feature_dim != gmm.dim or network.num_pdfs != gmm.num_pdfs:
            raise ModelError(f"network and system in {folder} do not belong together: train again")
        return cls(gmm, network.eval())


def is_hybrid(folder: Path) -> bool:
    """Whether a folder looks like one."""
    return (folder / NETWORK).is_dir()
