"""When two written sentences are the same sentence, and when one holds the other."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from asr.hangul.normalize import to_spoken

MIN_EOJEOL = 4
"""A shorter stretch of words comes back by chance (네 그렇게 하겠습니다)."""
MIN_SYLLABLES = 8
"""Likewise: four eojeol of two syllables."""

_PLAIN = re.compile(r"[가-힣ㄱ-ㆎ\s.,?!~…'\"“”‘’():;·-]*")
_NOT_HANGUL = re.compile("[^가-힣]+")
_NOT_HEARD = re.compile(r"[\W_]+")


def sentence_key(text: str) -> str:
    """What a sentence is compared by: the syllables in which it is read aloud, without spaces.

    Where nothing can be read as Korean: its letters, in lower case.

    >>> sentence_key("7년 전, 시작했다!") == sentence_key("칠 년전 시작했다")
    True
    """
    text = unicodedata.normalize("NFC", text)
    if _PLAIN.fullmatch(text):  # nothing in it is read otherwise than it is written
        return _NOT_HANGUL.sub("", text)
    spoken = _NOT_HANGUL.sub("", to_spoken(text))
    return spoken or _NOT_HEARD.sub("", text).casefold()


def is_long(text: str, key: str) -> bool:
    """Whether a sentence is long enough not to be within another by chance."""
    return len(key) >= MIN_SYLLABLES and len(text.split()) >= MIN_EOJEOL


@dataclass(slots=True)
class SentenceIndex:
    """Finds a text's sentences among those added: the same, within one, or around one.

    Every stretch of MIN_SYLLABLES characters of an added sentence is indexed; the first such of a
    long one serves to find it within others.
    """

    _names: dict[str, list[str]] = field(default_factory=dict)
    """Key to the names given to it."""
    _heads: dict[str, list[str]] = field(default_factory=dict)
    """First stretch of a long sentence to the keys that begin with it."""
    _stretches: dict[str, set[str]] = field(default_factory=dict)
    """Any stretch to the keys that hold it."""

    def add(self, name: str, text: str) -> None:
        """Add a sentence under the name of its utterance."""
        key = sentence_key(text)
        if not key:
            return
        known = key in self._names
        self._names.setdefault(key, []).append(name)
        if known:
            return
        if is_long(text, key):
            self._heads.setdefault(key[:MIN_SYLLABLES], []).append(key)
        for stretch in _stretches(key):
            self._stretches.setdefault(stretch, set()).add(key)

    def find(self, text: str) -> tuple[list[str], list[str]]:
        """Names of the sentences that are this one, and of those that hold it or are held by it.

        Of two sentences, one within the other, the inner one is long (`is_long`).
        """
        key = sentence_key(text)
        near: dict[str, None] = {}
        if is_long(text, key):
            for other in self._stretches.get(key[:MIN_SYLLABLES], ()):
                if key in other and key != other:
                    near[other] = None
        heads = self._heads
        for start in range(len(key) - MIN_SYLLABLES + 1):
            for other in heads.get(key[start : start + MIN_SYLLABLES], ()):
                if other in key and key != other:
                    near[other] = None
        same = list(self._names.get(key, ()))
        return same, [name for other in near for name in self._names[other]]

    def __len__(self) -> int:
        return len(self._names)


def _stretches(key: str) -> Iterator[str]:
    return (key[i : i + MIN_SYLLABLES] for i in range(len(key) - MIN_SYLLABLES + 1))


def distinct_keys(texts: Iterable[str]) -> set[str]:
    """The keys of sentences, without empty ones."""
    return {key for key in map(sentence_key, texts) if key}
