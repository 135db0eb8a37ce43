"""Full stops, question marks and commas for what a recogniser wrote without any.

A linear classifier looks at the eojeol on both sides of every gap, at question words since the
last stop and at how long the sentence is by now; where words have times, at the pause as well. It
was trained on written text (``tools/train_punctuation.py``). Nothing but these three marks is added
and no word is changed.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from asr.data_files import shipped
from asr.errors import ModelError
from asr.result import Result, Segment, Word
from asr.tensor_file import read_tensors

MARKS = ("", ",", ".", "?")
"""What may follow an eojeol, in the order of the classifier's outputs."""
STOPS = (".", "?")
BUCKETS = 1 << 15
MODEL = "punctuation/ko.safetensors"
_QUESTION = (
    "뭐", "뭘", "무엇", "무슨", "어디", "누구", "누가", "언제", "왜", "어떻", "어떤", "어느", "몇",
    "얼마", "어쩌",
)  # fmt: skip
_EITHER = "야어아데지해"
"""Endings of everyday speech that are questions by their melody alone."""
_SPEAKER = frozenset((
    "나", "나는", "난", "나도", "내", "내가", "저는", "저도", "제가", "우린", "우리",
))  # fmt: skip
"""Who says one of these asks less often."""


@dataclass(frozen=True, slots=True)
class PunctuationConfig:
    """What pauses say, beside the words.

    Attributes:
        pause: seconds; a pause of so long makes neither a mark nor none likelier.
        weight: nats that a second of pause more or less adds to the marks' scores.
        most: nats at most, either way.
        comma: nats by which a comma must be likelier than none; writers differ most in these.
        asked: nats by which a question mark must be likelier after an ending that says nothing
            (밥 먹었어), where no question word is in the sentence.
        speaker: nats more, where its speaker is (내가 먹었어).
    """

    pause: float = 0.25
    weight: float = 4.0
    most: float = 2.0
    comma: float = 1.0
    asked: float = 2.0
    speaker: float = 1.0

    def evidence(self, pause: float) -> float:
        """Nats by which a pause makes a mark likelier."""
        return float(np.clip(self.weight * (pause - self.pause), -self.most, self.most))


def features(words: Sequence[str], place: int, since: int) -> list[int]:
    """Buckets of what is seen of the gap behind ``words[place]``; its sentence begins at ``since``.
    """
    left = words[place]
    right = words[place + 1] if place + 1 < len(words) else "<end>"
    before = words[place - 1] if place > since else "<begin>"
    asked = next((q for w in words[since : place + 1] for q in _QUESTION if w.startswith(q)), "")
    length = min(place - since, 12)
    seen = [
        "bias", f"l1{left[-1:]}", f"l2{left[-2:]}", f"l3{left[-3:]}", f"l4{left[-4:]}", f"w{left}",
        f"r1{right[:1]}", f"r2{right[:2]}", f"r{right}", f"q{asked}|{left[-1:]}",
        f"q{bool(asked)}|{left[-2:]}", f"n{length}", f"l2{left[-2:]}|r1{right[:1]}",
        f"l2{left[-2:]}|r{right}", f"b{before[-2:]}|l{left[-2:]}", f"n{length}|l{left[-2:]}",
    ]  # fmt: skip
    return [crc32(name.encode()) % BUCKETS for name in seen]


class Punctuator:
    """Puts marks behind eojeol. Immutable.

    Args:
        weights: float [BUCKETS, 4], in the order of ``MARKS``.
        config: what pauses say.
    """

    def __init__(
        self, weights: NDArray[np.floating], config: PunctuationConfig | None = None
    ) -> None:
        if weights.shape != (BUCKETS, len(MARKS)):
            raise ModelError(f"weights of punctuation are [{BUCKETS}, {len(MARKS)}], not"
                             f" {list(weights.shape)}: install malsori again")  # fmt: skip
        self._weights = np.asarray(weights, np.float32)
        self._config = config or PunctuationConfig()

    @classmethod
    def load(cls, path: Path, config: PunctuationConfig | None = None) -> Punctuator:
        """Read weights. Raises ModelError where they cannot be read."""
        try:
            return cls(read_tensors(path)["weights"], config)
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{path} cannot be read ({error!r}): install malsori again") from None

    def marks(
        self, words: Sequence[str], pauses: Sequence[float | None] | None = None
    ) -> list[str]:
        """The mark behind each eojeol; behind the last one always a stop.

        Args:
            words: eojeol without marks.
            pauses: seconds of silence behind each, or None where that is not known.
        """
        found: list[str] = []
        since = 0
        for place in range(len(words)):
            scores = self._weights[features(words, place, since)].sum(axis=0)
            pause = pauses[place] if pauses is not None else None
            if pause is not None:
                scores[1:] += self._config.evidence(pause)
            scores[1] -= self._config.comma
            scores[3] -= self._doubt(words[since : place + 1])
            if place + 1 == len(words):
                scores[:2] = -np.inf
            found.append(MARKS[int(scores.argmax())])
            if found[-1] in STOPS:
                since = place + 1
        return found

    def _doubt(self, sentence: Sequence[str]) -> float:
        """Nats by which a question mark behind a sentence is less likely than its words say."""
        asked = any(word.startswith(_QUESTION) for word in sentence)
        if asked or not sentence[-1].endswith(tuple(_EITHER)):
            return 0.0
        told = not _SPEAKER.isdisjoint(sentence[:-1])
        return self._config.asked + self._config.speaker * told

    def text(self, text: str) -> str:
        """A text of Hangul and spaces with marks."""
        words = text.split()
        return " ".join(w + mark for w, mark in zip(words, self.marks(words), strict=True))


@functools.cache
def punctuator() -> Punctuator:
    """The shipped one."""
    return Punctuator.load(shipped(MODEL))


def punctuated(result: Result, marks: Punctuator | None = None) -> Result:
    """A result with marks behind its words; those of phrases of a grammar stay as they are."""
    chosen = marks or punctuator()
    return replace(result, segments=tuple(punctuate_segment(s, chosen) for s in result.segments))


def punctuate_segment(segment: Segment, marks: Punctuator) -> Segment:
    """A segment with marks behind its words, and behind what is written in their place."""
    if segment.rejected or segment.slots or not segment.words:
        return segment
    found = marks.marks([word.text for word in segment.words], _pauses(segment.words))
    words = tuple(
        replace(word, text=word.text + mark)
        for word, mark in zip(segment.words, found, strict=True)
    )
    written = tuple(
        replace(
            token,
            spoken=" ".join(word.text for word in words[token.first : token.end]),
            written=token.written + found[token.end - 1],
        )
        for token in segment.written
    )
    text = " ".join(word.text for word in words)
    return replace(segment, words=words, text=text, written=written)


def _pauses(words: Sequence[Word]) -> list[float | None]:
    gaps: list[float | None] = [
        max(0.0, after.start - word.end) for word, after in pairwise(words)
    ]
    return [*gaps, None]
