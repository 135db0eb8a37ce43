"""What will become of a user's words: how they sound, whether the model knows them, what they clash
with. `asr words` prints it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from asr.graph.bias_words import BiasWord
from asr.hangul.pronunciation import Pronunciation, pronounce
from asr.lm.automaton import LmAutomaton
from asr.lm.units import BOS, units_to_text
from asr.word_scores import WordScorer


class Verdict(StrEnum):
    """How well the language model knows a word."""

    KNOWN = "known well"
    RARE = "rare: --words helps"
    UNKNOWN = "needs --words"


@dataclass(frozen=True, slots=True)
class CheckConfig:
    """Limits of the verdicts, in nats a syllable in the context that favours the word best.

    By 13,035 eojeol of the train and dev splits of the two corpora in `asr.data` and the model
    "ko-kaldi": of those above ``known`` 72% were recognised in full, of those between the limits
    54%, of those below ``rare`` 29%.
    max_cost, variants: the pronunciations that `asr.hangul.pronunciation.pronounce` gives.
    """

    known: float = -1.5
    rare: float = -2.5
    max_cost: float = 2.0
    variants: int = 8


@dataclass(frozen=True, slots=True)
class ReadingCheck:
    """One reading of a word.

    reading: Hangul; pronunciations: standard one first; units: as the language model cuts it;
    unknown: those that it lacks; empty, best: natural log probability a syllable after nothing and
    in the best context, which is ``context`` (text; "<s>" is the start of a sentence).
    """

    reading: str
    pronunciations: tuple[Pronunciation, ...]
    units: tuple[str, ...]
    unknown: tuple[str, ...]
    empty: float
    best: float
    context: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class WordCheck:
    """One word: its readings, the likeliest first, and other words of the list that sound like it.

    homophones: the standard pronunciation of one is among those of the other. near: the standard
    pronunciations are the same but for vowels that most speakers no longer tell apart (ㅐ/ㅔ,
    ㅚ/ㅙ/ㅞ, article 4 of 표준발음법 notwithstanding).
    """

    written: str
    readings: tuple[ReadingCheck, ...]
    verdict: Verdict
    homophones: tuple[str, ...]
    near: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        return {
            **asdict(self),
            "readings": [reading.as_dict() for reading in self.readings],
            "verdict": self.verdict.value,
        }


def check_words(
    words: Sequence[BiasWord], lm: LmAutomaton, config: CheckConfig | None = None
) -> list[WordCheck]:
    """Look at each word as a language model and its neighbours in the list do."""
    config = config or CheckConfig()
    readings = list(dict.fromkeys(reading for word in words for reading in word.readings))
    checked = dict(zip(readings, _check_readings(readings, lm, config), strict=True))
    sounds = _Sounds((word.written, [checked[reading] for reading in word.readings])
                     for word in words)  # fmt: skip
    return [
        WordCheck(
            written=word.written,
            readings=tuple(checked[reading] for reading in word.readings),
            verdict=_verdict(word, [checked[reading] for reading in word.readings], config),
            homophones=sounds.alike(word.written),
            near=sounds.near(word.written),
        )
        for word in words
    ]


def _check_readings(
    readings: Sequence[str], lm: LmAutomaton, config: CheckConfig
) -> Iterable[ReadingCheck]:
    vocabulary = lm.vocabulary
    ids = [vocabulary.encode(reading) for reading in readings]
    scorer = WordScorer(lm)
    scores = scorer.scores(ids)
    contexts = scorer.contexts(scores.state)
    for number, reading in enumerate(readings):
        units = vocabulary.segment(reading)
        syllables = len(reading.replace(" ", ""))
        yield ReadingCheck(
            reading=reading,
            pronunciations=tuple(
                pronounce(reading, max_cost=config.max_cost, limit=config.variants)
            ),
            units=tuple(units),
            unknown=tuple(unit for unit in units if unit not in vocabulary.ids),
            empty=round(float(scores.empty[number]) / syllables, 4),
            best=round(float(scores.best[number]) / syllables, 4),
            context=_text(contexts[number]),
        )


def _text(units: Sequence[str]) -> str:
    start = [BOS] if units[:1] == (BOS,) else []
    return " ".join([*start, *units_to_text(units).split()])


def _verdict(word: BiasWord, readings: Sequence[ReadingCheck], config: CheckConfig) -> Verdict:
    """What is not written in Hangul comes out as written by the user's words only."""
    if word.written.replace(" ", "") not in {one.reading.replace(" ", "") for one in readings}:
        return Verdict.UNKNOWN
    if any(one.unknown for one in readings):
        return Verdict.UNKNOWN
    best = max(one.best for one in readings)
    if best >= config.known:
        return Verdict.KNOWN
    return Verdict.RARE if best >= config.rare else Verdict.UNKNOWN


# Vowels of surface jamo that sound alike to most.
_MERGED = str.maketrans("ㅐㅒㅙㅚ", "ㅔㅖㅞㅞ")


class _Sounds:
    """Which words of a list sound alike."""

    def __init__(self, words: Iterable[tuple[str, Sequence[ReadingCheck]]]) -> None:
        self._standard: dict[str, list[str]] = {}
        self._merged: dict[str, list[str]] = {}
        self._any: dict[str, list[str]] = {}
        self._said: dict[str, list[Pronunciation]] = {}
        self._heads: dict[str, list[str]] = {}
        for written, readings in words:
            heads, said = self._heads.setdefault(written, []), self._said.setdefault(written, [])
            for reading in readings:
                head = _sound(reading.pronunciations[0])
                heads.append(head)
                said += reading.pronunciations
                self._standard.setdefault(head, []).append(written)
                self._merged.setdefault(head.translate(_MERGED), []).append(written)
                for one in reading.pronunciations:
                    self._any.setdefault(_sound(one), []).append(written)

    def alike(self, written: str) -> tuple[str, ...]:
        """Other words one of whose sounds is this one's standard, or the reverse."""
        found = [
            other for one in self._said[written] for other in self._standard.get(_sound(one), ())
        ]
        found += [other for head in self._heads[written] for other in self._any[head]]
        return tuple(other for other in dict.fromkeys(found) if other != written)

    def near(self, written: str) -> tuple[str, ...]:
        """Other words that are not `alike`, but are when merged vowels count as one."""
        known = {written, *self.alike(written)}
        found = [
            other
            for head in self._heads[written]
            for other in self._merged[head.translate(_MERGED)]
        ]
        return tuple(other for other in dict.fromkeys(found) if other not in known)


def _sound(said: Pronunciation) -> str:
    """Jamo without spaces."""
    return said.jamo.replace(" ", "")
