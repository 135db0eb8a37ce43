"""Recognition with a GMM: the beam search of the toolkit over its scores.

A model with speakers' transforms is used in two passes, as Kaldi's decode_fmllr.sh does: what the
speaker-independent Gaussians hear in all of a speaker's utterances gives the speaker's transform.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from asr.decoder.config import DecoderConfig
from asr.decoder.search import Decoder
from asr.errors import UsageError
from asr.gmm.diag_gmm import DiagGmms
from asr.gmm.features import Cepstra
from asr.gmm.model import GmmModel
from asr.graph.hcl import compile_hcl
from asr.graph.lexicon import Lexicon, LexiconConfig
from asr.lm.automaton import LmAutomaton
from asr.lm.units import units_to_text
from asr.progress import Progress, silent


@dataclass(frozen=True, slots=True)
class GmmDecodeConfig:
    """Options of recognition.

    Attributes:
        acoustic_scale: weight of log-likelihoods; neighbouring frames say much the same.
        self_loop_scale: weight of staying in HMM states against leaving them.
        search: of the beam search.
    """

    acoustic_scale: float = 0.06
    self_loop_scale: float = 0.1
    # tuned on the development speakers of a corpus of read speech
    search: DecoderConfig = field(
        default_factory=lambda: DecoderConfig(
            beam=13.0, max_active=7000, lm_scale=1.0, unit_bonus=0.5, space_bonus=0.5,
            lattice_beam=0.0,
        )
    )

    def __post_init__(self) -> None:
        if not self.acoustic_scale > 0 or self.self_loop_scale < 0:
            raise UsageError("the acoustic scale must be positive, the self-loop scale no less"
                             " than 0")  # fmt: skip


class GmmDecoder:
    """Recognises utterances with one acoustic and one language model.

    Args:
        model: of the sounds.
        lm: of the text; its units are those of the graph.
        config: options.
        lexicon: of pronunciations.
    """

    def __init__(
        self,
        model: GmmModel,
        lm: LmAutomaton,
        config: GmmDecodeConfig | None = None,
        lexicon: LexiconConfig | None = None,
    ) -> None:
        self.model = model
        self.config = config or GmmDecodeConfig()
        units = lm.vocabulary
        emissions = model.emissions(self.config.self_loop_scale)
        hcl = compile_hcl(Lexicon(units.units, lexicon), emissions, units.ids)
        self._decoder = Decoder(hcl, lm)

    def decode(self, features: NDArray[np.float32], gmms: DiagGmms | None = None) -> str:
        """The text of features, float32 [T, D], scored by the model's or other Gaussians."""
        scores = (gmms or self.model.gmms).loglikes(features)
        scores *= np.float32(self.config.acoustic_scale)
        search = self._decoder.search(self.config.search)
        search.advance(scores)
        return units_to_text(unit.unit for unit in search.best_path().units)

    def decode_all(
        self, cepstra: Cepstra, ids: Iterable[str] | None = None, progress: Progress = silent
    ) -> dict[str, str]:
        """The text of each utterance; with speakers' transforms where the model has them."""
        names = list(cepstra.frames) if ids is None else list(ids)
        first = self.model.independent
        texts = self._pass(cepstra, names, {}, first, progress)
        if first is None:
            return texts
        from asr.gmm.fmllr import transforms_for_texts

        transforms = transforms_for_texts(self.model, cepstra, texts)
        return self._pass(cepstra, names, transforms, None, progress)

    def _pass(
        self,
        cepstra: Cepstra,
        names: list[str],
        transforms: Mapping[str, NDArray[np.float64]],
        gmms: DiagGmms | None,
        progress: Progress,
    ) -> dict[str, str]:
        texts = {}
        for number, name in enumerate(names):
            progress(number / len(names), "recognising")
            speaker = transforms.get(cepstra.speaker[name])
            texts[name] = self.decode(self.model.features(cepstra.frames[name], speaker), gmms)
        return texts
