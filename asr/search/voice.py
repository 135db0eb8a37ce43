"""Searching a catalogue by voice: a recogniser, an index, and what goes on between them.

The N best texts of each segment are searched. With two passes, what the recogniser hears by itself
picks some hundred entries out of however many; then it listens again, with the names of these as
its user words, and the search is repeated over what it heard both times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from asr.audio import RawFormat, Source
from asr.errors import UsageError
from asr.graph.bias_words import MOST_READINGS, BiasWord
from asr.recognizer import Model
from asr.result import MOST_ALTERNATIVES, Result, Segment, Word
from asr.search.config import SearchConfig
from asr.search.hypotheses import covered, hypotheses
from asr.search.index import Index
from asr.search.result import Hit, SearchResult
from asr.search.retrieval import Found, Searcher

Sound = Source | NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class VoiceConfig:
    """How the recogniser is asked.

    Attributes:
        nbest: how many texts of each segment are searched.
        passes: 1, or 2 to listen again for the likeliest entries; that takes twice as long, and
            has found no more where it was measured (docs/results.md).
        candidates: how many entries are listened for.
        second_share: weight of the texts of the second pass beside those of the first.
    """

    nbest: int = 50
    passes: int = 1
    candidates: int = 200
    second_share: float = 0.1

    def __post_init__(self) -> None:
        if not 1 <= self.nbest <= MOST_ALTERNATIVES:
            raise UsageError(f"nbest must be from 1 to {MOST_ALTERNATIVES}, not {self.nbest}")
        if self.passes not in (1, 2):
            raise UsageError(f"there are 1 or 2 passes, not {self.passes}")
        if self.candidates < 1:
            raise UsageError(f"candidates must be above 0, not {self.candidates}")


class VoiceSearch:
    """A recogniser over a catalogue. Immutable: threads may share it."""

    def __init__(
        self,
        model: Model,
        index: Index,
        config: SearchConfig | None = None,
        voice: VoiceConfig | None = None,
    ) -> None:
        self.model = model
        self.voice = voice or VoiceConfig()
        self.searcher = Searcher(index, config)

    def search(
        self, audio: Sound, *, sample_rate: int | None = None, raw: RawFormat | None = None
    ) -> SearchResult:
        """Which entries were meant by what is said in a sound.

        Args:
            audio: a path, bytes, a binary file object, or samples.
            sample_rate: the rate of an array's samples in Hz.
            raw: layout of headerless PCM.

        Raises:
            AudioError: sound that cannot be read.
        """
        nbest = self.voice.nbest
        result = self.model.transcribe(audio, sample_rate=sample_rate, raw=raw, nbest=nbest)
        others: Sequence[Segment] = ()
        if self.voice.passes == 2 and (words := self.words(result)):
            again = self.listening(words).transcribe(
                audio, sample_rate=sample_rate, raw=raw, nbest=nbest
            )
            others = again.segments
        return self.of_segments(result, others)

    def words(self, result: Result) -> list[BiasWord]:
        """The entries to listen for, after a first pass."""
        chosen: dict[int, None] = {}
        for segment in result.segments:
            found = self.searcher.find(hypotheses(_weighted(segment)), self.voice.candidates)
            chosen |= dict.fromkeys(one.entry for one in found)
        entries = [self.searcher.index.entry(number) for number in chosen]
        return [BiasWord(one.name, one.readings()[:MOST_READINGS]) for one in entries]

    def listening(self, words: Sequence[BiasWord]) -> Model:
        """The recogniser that listens for these entries.

        Each is lifted to what a class of all entries of the catalogue would give it: that only some
        are listed spares work, and makes none of them likelier.
        """
        bias = self.model.bias
        left_out = bias.per_word * math.log(len(self.searcher.index) / max(1, len(words)))
        bias = replace(bias, class_cost=bias.class_cost + max(0.0, left_out))
        return self.model.with_options(bias=bias).add_words(words)

    def of_segments(
        self, result: Result, others: Sequence[Segment] = (), count: int = 0
    ) -> SearchResult:
        """Search what was recognised, and what was recognised in a second pass.

        Args:
            others: segments of the same sound.
            count: hits at most; 0: as many as the options say.
        """
        found: dict[int, tuple[Found, Segment]] = {}
        for segment in result.segments:
            texts = _weighted(segment)
            for other in others:
                if other.start < segment.end and segment.start < other.end:
                    share = self.voice.second_share
                    texts += [(text, share * value) for text, value in _weighted(other)]
            for one in self.searcher.find(hypotheses(texts), count):
                if one.entry not in found or one.evidence > found[one.entry][0].evidence:
                    found[one.entry] = (one, segment)
        ranked = sorted(found.values(), key=lambda pair: -pair[0].evidence)
        ranked = ranked[: count or self.searcher.config.top]
        hits = self.searcher.hits([one for one, _ in ranked])
        timed = [_timed(hit, *pair) for hit, pair in zip(hits, ranked, strict=True)]
        return SearchResult(result.text, tuple(timed), result.source)


def _weighted(segment: Segment) -> list[tuple[str, float]]:
    """The texts of a segment with their shares."""
    return [(one.text, one.confidence) for one in segment.alternatives] or [(segment.text, 1.0)]


def _timed(hit: Hit, found: Found, segment: Segment) -> Hit:
    """The hit with the times of the words of the best text that stand where it was found."""
    written = found.hypothesis.written
    eojeols = covered(found.hypothesis, found.begin, found.end)
    ends = np.cumsum([0, *map(len, written)])
    words = segment.timed_words()
    numbers = _words_at("".join(written), ends[eojeols[0]], ends[eojeols[-1] + 1], words)
    if not numbers:
        return replace(hit, start=segment.start, end=segment.end)
    return replace(hit, start=words[min(numbers)].start, end=words[max(numbers)].end)


def _words_at(text: str, begin: int, end: int, words: Sequence[Word]) -> set[int]:
    """The words of the best text that stand where ``text[begin:end]`` does."""
    letters = [(letter, number) for number, word in enumerate(words)
               for letter in word.text.replace(" ", "")]  # fmt: skip
    best = "".join(letter for letter, _ in letters)
    found: set[int] = set()
    for _, i0, i1, j0, j1 in SequenceMatcher(None, text, best, autojunk=False).get_opcodes():
        low, high = max(i0, begin), min(i1, end)
        if low >= high:
            continue
        if i1 - i0 == j1 - j0:
            j0, j1 = j0 + low - i0, j0 + high - i0
        found |= {number for _, number in letters[j0:j1]}
    return found
