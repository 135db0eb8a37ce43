"""Recognition with a GMM: the beam search of the toolkit over its scores.

A model with speakers' transforms is used in two passes, as Kaldi's decode_fmllr.sh does: what the
speaker-independent Gaussians hear in all of a speaker's utterances gives the speaker's transform.
A network that was trained on the model (:mod:`asr.hybrid`) takes the Gaussians' place
in the last pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asr.data_files import DEFAULT_LM, shipped
from asr.decoder.config import DecoderConfig
from asr.decoder.search import Decoder
from asr.errors import UsageError
from asr.gmm.features import Cepstra
from asr.gmm.model import GmmModel
from asr.graph.hcl import compile_hcl
from asr.graph.lexicon import Lexicon, LexiconConfig
from asr.lm.automaton import LmAutomaton
from asr.lm.binary import load_model
from asr.lm.units import units_to_text
from asr.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class GmmDecodeConfig:
    """Options of recognition.

    Attributes:
        acoustic_scale: weight of Gaussians' log-likelihoods; neighbouring frames say much the same.
        network_scale: the same of a network's.
        self_loop_scale: weight of staying in HMM states against leaving them.
        search: of the beam search.
    """

    acoustic_scale: float = 0.06
    network_scale: float = 0.1
    self_loop_scale: float = 0.1
    # tuned on the development speakers of a corpus of read speech
    search: DecoderConfig = field(
        default_factory=lambda: DecoderConfig(
            beam=13.0, max_active=7000, lm_scale=1.0, unit_bonus=0.5, space_bonus=0.5,
            lattice_beam=0.0,
        )
    )

    def __post_init__(self) -> None:
        if not (self.acoustic_scale > 0 and self.network_scale > 0 and self.self_loop_scale >= 0):
            raise UsageError("the acoustic scales must be positive, the self-loop scale no less"
                             " than 0")  # fmt: skip


class Scorer(Protocol):
    """Gaussians, or a network in their place."""

    def loglikes(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """log p(feature | pdf), up to what is the same for all: float32 [T, pdfs] of [T, D]."""
        ...


class GmmDecoder:
    """Recognises utterances with one acoustic and one language model.

    Args:
        model: of the sounds.
        lm: of the text; its units are those of the graph.
        config: options.
        lexicon: of pronunciations.
        network: scores the last pass; None: the model's Gaussians do.
    """

    def __init__(
        self,
        model: GmmModel,
        lm: LmAutomaton,
        config: GmmDecodeConfig | None = None,
        lexicon: LexiconConfig | None = None,
        network: Scorer | None = None,
    ) -> None:
        self.model = model
        self.network = network
        self.config = config or GmmDecodeConfig()
        units = lm.vocabulary
        emissions = model.emissions(self.config.self_loop_scale)
        hcl = compile_hcl(Lexicon(units.units, lexicon), emissions, units.ids)
        self._decoder = Decoder(hcl, lm)

    @classmethod
    def with_shipped_lm(cls, model: GmmModel) -> GmmDecoder:
        """With the language model that comes with the toolkit."""
        return cls(model, load_model(shipped(DEFAULT_LM)))

    def decode(self, features: NDArray[np.float32], scorer: Scorer | None = None) -> str:
        """The text of features, float32 [T, D], scored by the model's or other Gaussians, or by
        the network."""
        scorer = scorer or self.model.gmms
        by_network = scorer is self.network
        scale = self.config.network_scale if by_network else self.config.acoustic_scale
        scores = scorer.loglikes(features)
        scores *= np.float32(scale)
        search = self._decoder.search(self.config.search)
        search.advance(scores)
        return units_to_text(unit.unit for unit in search.best_path().units)

    def first_pass(self, cepstra: Cepstra, progress: Progress = silent) -> dict[str, str]:
        """The text of each utterance as the Gaussians hear it of speakers that are not known."""
        first = self.model.independent or self.model.gmms
        return self._pass(cepstra, list(cepstra.frames), {}, first, progress)

    def decode_all(
        self, cepstra: Cepstra, ids: Iterable[str] | None = None, progress: Progress = silent
    ) -> dict[str, str]:
        """The text of each utterance; with speakers' transforms where the model has them."""
        names = list(cepstra.frames) if ids is None else list(ids)
        last: Scorer = self.network or self.model.gmms
        first = self.model.independent
        if first is None:
            return self._pass(cepstra, names, {}, last, progress)
        from asr.gmm.fmllr import transforms_for_texts

        texts = self._pass(cepstra, names, {}, first, progress)
        transforms = transforms_for_texts(self.model, cepstra, texts)
        return self._pass(cepstra, names, transforms, last, progress)

    def _pass(
        self,
        cepstra: Cepstra,
        names: list[str],
        transforms: Mapping[str, NDArray[np.float64]],
        scorer: Scorer,
        progress: Progress,
    ) -> dict[str, str]:
        texts = {}
        for number, name in enumerate(names):
            progress(number / len(names), "recognising")
            speaker = transforms.get(cepstra.speaker[name])
            texts[name] = self.decode(self.model.features(cepstra.frames[name], speaker), scorer)
        return texts
