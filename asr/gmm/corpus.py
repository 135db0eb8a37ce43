"""What a GMM is trained on: features, texts, and what becomes of utterances that fail."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from asr.errors import DataError
from asr.gmm.alignment import Alignment
from asr.gmm.features import Cepstra, FrontEndConfig, Spoken, cepstra
from asr.gmm.flat_start import equal_alignment
from asr.gmm.model import GmmModel
from asr.gmm.text_graphs import TextGraphs
from asr.gmm.viterbi import AlignConfig, Aligner
from asr.hmm.pdf_table import PdfTable
from asr.hmm.transition import TransitionModel
from asr.progress import Progress, silent

log = logging.getLogger(__name__)

Transforms = Mapping[str, NDArray[np.float64]]
"""Speaker → float64 [D, D + 1]."""


@dataclass(slots=True)
class Corpus:
    """Utterances with features and texts, in memory.

    Attributes:
        cepstra: of all that can be read.
        texts: id → text.
        failures: id → why an utterance has no features, or lost its alignment most recently.
    """

    cepstra: Cepstra
    texts: dict[str, str]
    failures: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(
        cls, utterances: Iterable[Spoken], config: FrontEndConfig, progress: Progress = silent
    ) -> Corpus:
        """Compute the features of utterances that have a text.

        Raises:
            DataError: none is left.
        """
        rows = list(utterances)
        failures = {u.id: "it has no text" for u in rows if not u.text}
        found = cepstra([u for u in rows if u.text], config, progress)
        if not found.frames:
            reasons = {**found.refused, **failures}
            first = next(iter(reasons.items()), ("", "the data holds no utterance"))
            raise DataError(f"no utterance can be used ({first[0]}: {first[1]}): check the data")
        failures |= found.refused
        report(failures, len(rows), "not used")
        return cls(found, {u.id: u.text for u in rows if u.text}, failures)

    @property
    def ids(self) -> list[str]:
        """Of utterances with features."""
        return list(self.cepstra.frames)

    def speaker_transform(
        self, name: str, transforms: Transforms | None
    ) -> NDArray[np.float64] | None:
        """The transform of an utterance's speaker."""
        return None if transforms is None else transforms.get(self.cepstra.speaker[name])

    def features(
        self, name: str, model: GmmModel, transforms: Transforms | None = None
    ) -> NDArray[np.float32]:
        """What the model's Gaussians take of an utterance: float32 [T, D]."""
        speaker = self.speaker_transform(name, transforms)
        return model.features(self.cepstra.frames[name], speaker)

    def graphs(self, table: PdfTable, transitions: TransitionModel) -> TextGraphs:
        """Of all texts."""
        return TextGraphs(self.texts.values(), table, transitions)

    def flat_start(
        self, graphs: TextGraphs, transitions: TransitionModel
    ) -> dict[str, Alignment]:
        """Equal alignments of all utterances."""
        found = {}
        lost: dict[str, str] = {}
        for name, frames in self.cepstra.frames.items():
            try:
                graph = graphs.graph(self.texts[name])
                found[name] = equal_alignment(graph, len(frames), transitions)
            except DataError as error:
                lost[name] = str(error)
        return self._kept(found, lost)

    def align(
        self,
        model: GmmModel,
        graphs: TextGraphs,
        config: AlignConfig | None = None,
        transforms: Transforms | None = None,
        progress: Progress = silent,
    ) -> dict[str, Alignment]:
        """The best paths of all utterances; those that fail are counted and left out.

        Raises:
            DataError: all failed.
        """
        aligner = Aligner(model.gmms, model.transitions, config)
        found = {}
        lost: dict[str, str] = {}
        for number, name in enumerate(self.ids):
            progress(number / len(self.ids), "aligning")
            try:
                graph = graphs.graph(self.texts[name])
                found[name] = aligner.align(graph, self.features(name, model, transforms))
            except DataError as error:
                lost[name] = str(error)
        return self._kept(found, lost)

    def _kept(self, found: dict[str, Alignment], lost: dict[str, str]) -> dict[str, Alignment]:
        for name in found:
            self.failures.pop(name, None)
        if not lost.keys() <= self.failures.keys():  # once, not in every iteration
            report(lost, len(self.ids), "not aligned")
        self.failures |= lost
        if not found:
            raise DataError("no utterance could be aligned with its text: check texts and sounds")
        return found


def report(lost: Mapping[str, str], total: int, what: str) -> None:
    """Warn of what is left out: how many of how many, and why the first."""
    if lost:
        name, reason = next(iter(lost.items()))
        log.warning("%d of %d utterances %s (%s: %s)", len(lost), total, what, name, reason)
