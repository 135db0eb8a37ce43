"""What forced alignment returns: the times of eojeol, syllables and jamo, and their JSON form.

>>> jamo = (Jamo("ㄴ", "n", "onset", 0, 0.1, 0.2), Jamo("ㅔ", "e", "nucleus", 0, 0.2, 0.4))
>>> word = AlignedWord("네", "네", 0.1, 0.4, -0.2, True)
>>> alignment = Alignment((word,), (Syllable("네", 0, 0.1, 0.4),), jamo, 0.5, score=-0.2)
>>> [(interval.text, interval.start) for interval in alignment.intervals("jamo")]
[('ㄴ', 0.1), ('ㅔ', 0.2)]
>>> alignment.to_dict()["words"][0]["end"]
0.4
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from asr.errors import UsageError

FORMAT = "malsori-alignment"
VERSION = 1
LEVELS = ("eojeol", "syllable", "jamo")
TIME_DIGITS = 3
"""Decimals of a second that are kept; a frame is 30 ms in chain models."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of sound and what it is called; times in seconds."""

    text: str
    start: float
    end: float
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Jamo:
    """One spoken sound and the written letters that it stands for.

    A letter has the time of the sound that realises it, wherever it is said: in 옷이, said 오시,
    ㅅ has the time of the onset of 시. Letters that share a sound share an entry: 좋다, said 조타,
    has one ㅎㄷ. Letters without a sound, such as the ㅇ of an onset or the ㅎ of 않은, have none.

    Attributes:
        text: the letters; of a cluster coda (ㄳ) the one that is heard.
        phone: the sound, a name of :data:`asr.hangul.phones.PHONES`.
        role: "onset", "nucleus" or "coda" of the syllable in which it is said.
        syllable: the number of that syllable.
        start, end: seconds.
    """

    text: str
    phone: str
    role: str
    syllable: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Syllable:
    """A syllable as written, from its first sound to its last.

    Its sounds are those that are said in it: in 옷이, 옷 ends with its vowel and 이 begins with the
    sound of ㅅ.

    Attributes:
        text: as written; of text that was read out (7) as spoken (칠).
        word: the number of its eojeol.
        start, end: seconds.
    """

    text: str
    word: int
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class AlignedWord:
    """An eojeol of the text (or several, where how they are read cannot be told apart).

    Attributes:
        text: as in the text, without the punctuation around it.
        spoken: how it is read, in Hangul.
        start, end: seconds.
        score: nats per frame by which the sound fits the text less than it fits the best sequence
            of phones; about 0 is perfect.
        plausible: whether the score is as good as right texts have it.
    """

    text: str
    spoken: str
    start: float
    end: float
    score: float
    plausible: bool


@dataclass(frozen=True, slots=True)
class Alignment:
    """When every part of a text was said.

    Attributes:
        words, syllables, jamo: in order; what lies between them is silence.
        duration: seconds of sound.
        score: as of the words, over all that was said.
        plausible: whether the text can be what was said.
        frame_seconds: times are multiples of this.
        source: where the sound came from.
        model: the name of the model that aligned it.
    """

    words: tuple[AlignedWord, ...]
    syllables: tuple[Syllable, ...]
    jamo: tuple[Jamo, ...]
    duration: float
    score: float = 0.0
    plausible: bool = True
    frame_seconds: float = 0.03
    source: str = ""
    model: str = ""

    @property
    def text(self) -> str:
        """The text that was aligned."""
        return " ".join(word.text for word in self.words)

    @property
    def spoken(self) -> str:
        """The text as it is read."""
        return " ".join(word.spoken for word in self.words)

    def intervals(self, level: str) -> tuple[Interval, ...]:
        """The parts at "eojeol", "syllable" or "jamo". Raises UsageError for another level."""
        if level not in LEVELS:
            raise UsageError(f"no such level: {level}; use {', '.join(LEVELS)}")
        if level == "eojeol":
            return tuple(Interval(w.text, w.start, w.end, w.score) for w in self.words)
        parts: Sequence[Syllable | Jamo] = self.syllables if level == "syllable" else self.jamo
        return tuple(Interval(part.text, part.start, part.end) for part in parts)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready mapping; its `version` rises only when a reader would have to change."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "source": self.source,
            "model": self.model,
            "duration": _rounded(self.duration),
            "frame_seconds": _rounded(self.frame_seconds),
            "text": self.text,
            "spoken": self.spoken,
            "score": _rounded(self.score),
            "plausible": self.plausible,
            "words": [
                {
                    "text": word.text,
                    "spoken": word.spoken,
                    "start": _rounded(word.start),
                    "end": _rounded(word.end),
                    "score": _rounded(word.score),
                    "plausible": word.plausible,
                }
                for word in self.words
            ],
            "syllables": [
                {
                    "text": syllable.text,
                    "word": syllable.word,
                    "start": _rounded(syllable.start),
                    "end": _rounded(syllable.end),
                }
                for syllable in self.syllables
            ],
            "jamo": [
                {
                    "text": jamo.text,
                    "phone": jamo.phone,
                    "role": jamo.role,
                    "syllable": jamo.syllable,
                    "start": _rounded(jamo.start),
                    "end": _rounded(jamo.end),
                }
                for jamo in self.jamo
            ],
        }


def _rounded(value: float) -> float:
    return round(float(value), TIME_DIGITS)
