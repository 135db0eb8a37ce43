"""What a recognizer returns: segments of timed words, and a versioned JSON form of them.

>>> words = (Word("안녕하세요", 0.12, 0.81, 0.97), Word("여러분", 0.9, 1.3))
>>> segment = Segment("안녕하세요 여러분", 0.12, 1.3, words)
>>> result = Result((segment,), duration=1.5, model="ko-kaldi")
>>> result.text
'안녕하세요 여러분'
>>> result.words[0].start
0.12
>>> Result.from_dict(result.to_dict()) == result
True
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from asr.alignment import Jamo, Syllable
from asr.errors import DataError, UsageError
from asr.written.tokens import WrittenToken

FORMAT = "malsori-result"
VERSION = 1
TIME_DIGITS = 3
"""Decimals of a second kept in JSON: a frame is 10 ms."""


MOST_ALTERNATIVES = 100


@dataclass(frozen=True, slots=True)
class Detail:
    """What a result tells beside words and their times.

    Attributes:
        nbest: how many alternatives each segment has.
        jamo: whether segments have the times of syllables and jamo.
        written: whether segments have their written form, too: 삼십 퍼센트 as 30%.
        punctuation: whether full stops, question marks and commas follow words.
    """

    nbest: int = 0
    jamo: bool = False
    written: bool = False
    punctuation: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.nbest, int) or not 0 <= self.nbest <= MOST_ALTERNATIVES:
            raise UsageError(
                f"nbest must be a whole number from 0 to {MOST_ALTERNATIVES}, not {self.nbest}"
            )


@dataclass(frozen=True, slots=True)
class Word:
    """One eojeol (what stands between two spaces) and when it was said.

    A user's word that is written with a space is one, too.
    """

    text: str
    start: float
    """Seconds from the beginning of the sound."""
    end: float
    confidence: float | None = None
    """Posterior probability in [0, 1]; None where the decoder gives none."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another text that the same sound may be."""

    text: str
    confidence: float
    """Its share of the probability of all that were considered."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech, usually an utterance between pauses."""

    text: str
    start: float
    end: float
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    alternatives: tuple[Alternative, ...] = ()
    """The N best texts, best first, where they were asked for; the first is `text` itself."""
    rejected: bool = False
    """With a grammar: what was said is none of its phrases; `text` is empty then."""
    slots: Mapping[str, str] = field(default_factory=dict, hash=False)
    """With a grammar: what its slots were filled with."""
    syllables: tuple[Syllable, ...] = ()
    """Where times of jamo were asked for: the syllables as spoken; `word` counts in `words`."""
    jamo: tuple[Jamo, ...] = ()
    written: tuple[WrittenToken, ...] = ()
    """Where the written form was asked for: tokens that cover `words` in order. `text` and `words`
    stay as they were said."""

    @property
    def written_text(self) -> str:
        """The text as it is written, where that was asked for; else as it was said."""
        return " ".join(token.written for token in self.written) or self.text

    @classmethod
    def from_words(cls, words: Iterable[Word], confidence: float | None = None) -> Segment:
        """Join words, of which there must be one at least, by spaces."""
        kept = tuple(words)
        text = " ".join(word.text for word in kept)
        return cls(text, kept[0].start, kept[-1].end, kept, confidence)

    def timed_words(self) -> tuple[Word, ...]:
        """The words; without any, the text cut at spaces, its time shared out by length."""
        if self.words or not self.text.split():
            return self.words
        pieces = self.text.split()
        total = sum(map(len, pieces))
        words, done = [], 0
        for piece in pieces:
            start = self.start + (self.end - self.start) * done / total
            done += len(piece)
            end = self.start + (self.end - self.start) * done / total
            words.append(Word(piece, start, end, self.confidence))
        return tuple(words)

    def written_words(self) -> tuple[Word, ...]:
        """`timed_words`, those that are written together taken together."""
        words = self.timed_words()
        if not self.written:
            return words
        return tuple(
            _joined(token.written, words[token.first : token.end]) for token in self.written
        )


def _joined(text: str, words: tuple[Word, ...]) -> Word:
    """One word for several; no surer than the least sure of them."""
    sure = [word.confidence for word in words if word.confidence is not None]
    return Word(text, words[0].start, words[-1].end, min(sure) if sure else None)


@dataclass(frozen=True, slots=True)
class Result:
    """The transcript of one sound. Without speech `segments` is empty and `text` is ''."""

    segments: tuple[Segment, ...]
    duration: float
    """Seconds of sound."""
    language: str = "ko"
    model: str = ""
    """Name of the model that made it."""
    source: str = ""
    """Where the sound came from."""

    @property
    def text(self) -> str:
        """The whole transcript on one line, as it was said."""
        return " ".join(segment.text for segment in self.segments if segment.text)

    @property
    def written_text(self) -> str:
        """The same as it is written, where that was asked for."""
        return " ".join(segment.written_text for segment in self.segments if segment.text)

    @property
    def rejected(self) -> bool:
        """With a grammar: something was said, and none of it was a phrase of the grammar."""
        return bool(self.segments) and all(segment.rejected for segment in self.segments)

    @property
    def words(self) -> tuple[Word, ...]:
        """Every word of every segment in order."""
        return tuple(word for segment in self.segments for word in segment.words)

    def to_dict(self) -> dict[str, Any]:
        """A JSON-ready mapping; its `version` rises only when a reader would have to change."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "source": self.source,
            "model": self.model,
            "language": self.language,
            "duration": _seconds(self.duration),
            "text": self.text,
            "segments": [_segment_dict(segment) for segment in self.segments],
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Result:
        """Read what `to_dict` wrote. Raises DataError for another format or a newer version."""
        if not isinstance(data, Mapping):
            raise DataError(f"not a {FORMAT} document, which is a JSON object")
        if data.get("format") != FORMAT:
            raise DataError(f"not a {FORMAT} document (its format is {data.get('format')!r})")
        if not isinstance(data.get("version"), int) or data["version"] > VERSION:
            raise DataError(f"{FORMAT} version {data.get('version')!r} is newer than {VERSION}, the"
                            " newest this Malsori reads: upgrade malsori")
        try:
            segments = tuple(_segment(item) for item in data["segments"])
            return cls(segments, data["duration"], data["language"], data["model"], data["source"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"damaged {FORMAT} document: {error!r}") from error


def _segment_dict(segment: Segment) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "start": _seconds(segment.start),
        "end": _seconds(segment.end),
        "text": segment.text,
        "confidence": _probability(segment.confidence),
        "words": [
            {
                "text": word.text,
                "start": _seconds(word.start),
                "end": _seconds(word.end),
                "confidence": _probability(word.confidence),
            }
            for word in segment.words
        ],
    }
    # what was not asked for takes no room
    if segment.alternatives:
        plain["alternatives"] = [
            {"text": other.text, "confidence": _probability(other.confidence)}
            for other in segment.alternatives
        ]
    if segment.rejected:
        plain["rejected"] = True
    if segment.slots:
        plain["slots"] = dict(segment.slots)
    for name in ("syllables", "jamo"):
        if parts := getattr(segment, name):
            plain[name] = [asdict(part) for part in parts]
    if segment.written:
        plain["written"] = {
            "text": segment.written_text,
            "tokens": [asdict(token) for token in segment.written],
        }
    return plain


def _segment(data: Mapping[str, Any]) -> Segment:
    words = tuple(
        Word(word["text"], word["start"], word["end"], word["confidence"]) for word in data["words"]
    )
    return Segment(
        data["text"],
        data["start"],
        data["end"],
        words,
        data["confidence"],
        tuple(Alternative(**other) for other in data.get("alternatives", ())),
        bool(data.get("rejected", False)),
        dict(data.get("slots", {})),
        tuple(Syllable(**part) for part in data.get("syllables", ())),
        tuple(Jamo(**part) for part in data.get("jamo", ())),
        tuple(WrittenToken(**token) for token in data.get("written", {}).get("tokens", ())),
    )


def _seconds(value: float) -> float:
    return round(float(value), TIME_DIGITS)


def _probability(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)
