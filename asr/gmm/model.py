"""A GMM-HMM acoustic model, in memory and on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.bundle import Manifest, open_bundle, write_bundle
from asr.errors import ModelError
from asr.gmm.diag_gmm import DiagGmms
from asr.gmm.features import FrontEndConfig, affine, in_context
from asr.graph.emissions import PhoneModels
from asr.graph.phone_models import decoding_models
from asr.hmm.pdf_table import PdfTable
from asr.hmm.transition import TransitionModel

ARRAYS_FILE, TREE_FILE, TRANSITIONS_FILE = (
    "gmm.safetensors", "pdf-table.safetensors", "transitions.safetensors",
)  # fmt: skip
SECTION = "gmm"
_INDEPENDENT = "speaker-independent."


@dataclass(frozen=True, slots=True, eq=False)
class GmmModel:
    """What scores features, and what the scores stand for.

    Attributes:
        kind: mono, tri, lda or sat.
        front_end: how features are computed.
        table: which pdf scores which phone in context.
        transitions: probabilities of the HMM.
        gmms: the pdfs.
        transform: float64 [D, features in context], LDA and MLLT; None for none.
        independent: the pdfs of features without a speaker's transform, in models trained with such
            transforms (Kaldi's final.alimdl).
    """

    kind: str
    front_end: FrontEndConfig
    table: PdfTable
    transitions: TransitionModel
    gmms: DiagGmms
    transform: NDArray[np.float64] | None = None
    independent: DiagGmms | None = None

    @property
    def num_pdfs(self) -> int:
        """Columns of the scores."""
        return self.gmms.num_pdfs

    @property
    def dim(self) -> int:
        """Of the features that Gaussians are to take."""
        return self.front_end.dim if self.transform is None else len(self.transform)

    def features(
        self, frames: NDArray[np.float32], speaker: NDArray[np.float64] | None = None
    ) -> NDArray[np.float32]:
        """Normalised cepstra [T, C] to what the Gaussians take: float32 [T, D].

        Args:
            frames: of :func:`asr.gmm.features.cepstra`.
            speaker: float64 [D, D + 1], the speaker's transform (:mod:`asr.gmm.fmllr`).
        """
        features = in_context(frames, self.front_end)
        if self.transform is not None:
            features = affine(features, self.transform)
        return features if speaker is None else affine(features, speaker)

    def loglikes(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """log p(feature | pdf): float32 [T, pdfs] of features [T, D]."""
        return self.gmms.loglikes(features)

    def emissions(self, self_loop_scale: float = 0.1) -> PhoneModels:
        """The HMM states of phones, to compile a decoding graph."""
        return decoding_models(self.table, self.transitions, self_loop_scale)

    def save(self, path: str | os.PathLike[str], licence: str = "unknown") -> None:
        """Write the model to a folder, whole or not at all."""
        arrays = self.gmms.to_tensors()
        if self.independent is not None:
            arrays |= self.independent.to_tensors(_INDEPENDENT)
        if self.transform is not None:
            arrays["transform"] = self.transform
        section = {"kind": self.kind, "front_end": self.front_end.to_json()}
        manifest = Manifest(
            name=f"gmm-{self.kind}", language="ko", sample_rate=self.front_end.sample_rate,
            licence=licence, sections={SECTION: section},
        )  # fmt: skip
        write_bundle(path, manifest, {
            ARRAYS_FILE: arrays,
            TREE_FILE: self.table.to_tensors(),
            TRANSITIONS_FILE: self.transitions.to_tensors(),
        })  # fmt: skip

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> GmmModel:
        """Read a model.

        Raises:
            ModelError: there is none, or it is damaged, or of another kind.
        """
        bundle = open_bundle(Path(path))
        section: Mapping[str, Any] = bundle.manifest.sections.get(SECTION, {})
        if "kind" not in section:
            raise ModelError(f"{path} is not a model of `asr gmm`: give the folder of one")
        arrays = bundle.tensors(ARRAYS_FILE)
        table = PdfTable.from_tensors(bundle.tensors(TREE_FILE))
        transitions = TransitionModel.from_tensors(bundle.tensors(TRANSITIONS_FILE))
        gmms = DiagGmms.from_tensors(arrays)
        independent = None
        if _INDEPENDENT + "begin" in arrays:
            independent = DiagGmms.from_tensors(arrays, _INDEPENDENT)
        transform = arrays.get("transform")
        model = cls(
            str(section["kind"]), FrontEndConfig.from_json(section.get("front_end", {})),
            table, transitions, gmms, transform, independent,
        )  # fmt: skip
        model._check(path)
        return model

    def _check(self, path: str | os.PathLike[str]) -> None:
        matrix = self.transform
        if matrix is not None and matrix.shape[1:] != (self.front_end.dim,):
            raise ModelError(f"{path}: the transform does not fit the features; train it again")
        others = [] if self.independent is None else [self.independent]
        if any(one.dim != self.dim or one.num_pdfs != self.table.num_pdfs
               for one in (self.gmms, *others)):  # fmt: skip
            raise ModelError(f"{path}: the Gaussians do not fit the features; train it again")
        if self.transitions.num_pdfs != self.table.num_pdfs:
            raise ModelError(f"{path}: the transitions do not fit the tree; train it again")
