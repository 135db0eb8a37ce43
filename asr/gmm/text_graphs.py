"""Training graphs: all ways to say each utterance's text, as tuples of the transition model."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from asr.align_text import SpacingConfig, text_steps, written_words
from asr.decoder import align_kernels as kernels
from asr.decoder.align import neighbours
from asr.decoder.align_graph import TextGraph, indexed, packed, text_graph
from asr.errors import DataError
from asr.graph.hcl import compile_hcl
from asr.graph.lexicon import Lexicon, LexiconConfig
from asr.graph.phone_models import training_models
from asr.hmm.pdf_table import PdfTable
from asr.hmm.transition import TransitionModel
from asr.lm.units import EOJEOL_MARK


class TrainingGraph(NamedTuple):
    """A text's graph, and what the search needs of it.

    text: ``forward`` and ``loop`` are tuples of the transition model, without its costs.
    frames_needed: the fewest frames in which the text can be said.
    lowest, highest: see :func:`asr.decoder.align_kernels.viterbi`.
    """

    text: TextGraph
    frames_needed: int
    lowest: NDArray[np.int32]
    highest: NDArray[np.int32]


class TextGraphs:
    """Makes the graphs of texts.

    Args:
        texts: all that will be asked for; what cannot be read is passed over here.
        table: which tuples a phone has in its context.
        transitions: numbers the tuples.
        lexicon: which pronunciations there are.
        spacing: how a text may be spoken with other spaces than written.
    """

    def __init__(
        self,
        texts: Iterable[str],
        table: PdfTable,
        transitions: TransitionModel,
        lexicon: LexiconConfig | None = None,
        spacing: SpacingConfig | None = None,
    ) -> None:
        self._spacing = spacing or SpacingConfig()
        self._words: dict[str, list[str]] = {}
        syllables: set[str] = set()
        for text in texts:
            try:
                words = [word for written in written_words(text) for word in written.spoken]
            except DataError:
                continue
            self._words[text] = words
            syllables.update("".join(words))
        if not syllables:
            raise DataError("no text of the data can be read aloud: check its texts")
        units = [mark + one for one in sorted(syllables) for mark in (EOJEOL_MARK, "")]
        self._units = {unit: number for number, unit in enumerate(units)}
        models = training_models(table, transitions)
        self._hcl = compile_hcl(Lexicon(units, lexicon), models, self._units)
        self._indexed = indexed(self._hcl)
        self._kept: dict[str, TrainingGraph] = {}

    def graph(self, text: str) -> TrainingGraph:
        """The graph of one of the texts; made once.

        Raises:
            DataError: nothing in it can be read aloud.
        """
        if text not in self._kept:
            if text not in self._words:
                raise DataError("the text holds nothing that can be read aloud")
            steps = text_steps(self._words[text], self._units, self._spacing)
            graph = text_graph(self._hcl, self._indexed, packed(steps, len(self._units)))
            if len(graph.state) == 0:
                raise DataError("the text cannot be said with the model's phones")
            needed = int(kernels.frames_to_end(graph)[0])
            self._kept[text] = TrainingGraph(graph, needed, *neighbours(graph))
        return self._kept[text]
