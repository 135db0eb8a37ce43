"""From what was said to how the user writes it: 케이비에스는 → KBS는."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from asr.graph.bias_words import BiasWord

SHORT = 2
"""Readings of so few syllables begin many ordinary words (오지, 오지랖): what follows must fit."""

_ENDINGS = (
    "가", "고", "과", "까지", "께", "나", "냐", "는", "니", "님", "다", "도", "든", "들",
    "라", "랑", "로", "를", "마다", "만", "며", "면", "밖", "보다", "부터", "뿐", "씨", "아", "야",
    "에", "여", "였", "예", "와", "요", "으로", "은", "을", "의", "이", "인", "일", "입니", "조차",
    "처럼", "하", "한테",
)  # fmt: skip
"""How particles, the copula and the like begin that may follow a noun."""


@dataclass(frozen=True, slots=True)
class WrittenSpan:
    """Eojeol ``first`` up to but not ``end`` of what was recognised are written ``text``."""

    text: str
    first: int
    end: int


class WrittenForms:
    """Finds listed words in recognised text and writes them as the list does. Immutable.

    Args:
        words: the list; those that are written as they are said are left alone, but where one is
            longer than another word in the same place, it wins.
        joined: words with spaces are found without them, too.
        anywhere: words are found inside eojeol, too.
    """

    def __init__(
        self, words: Sequence[BiasWord], *, joined: bool = True, anywhere: bool = False
    ) -> None:
        self._anywhere = anywhere
        forms = {reading: word.written for word in words[::-1] for reading in word.readings}
        if joined:
            forms = {text.replace(" ", ""): written for text, written in forms.items()} | forms
        changes = any(text != written for text, written in forms.items())
        self._written = forms if changes else {}
        self._longest = max(map(len, self._written), default=0)

    def spans(self, eojeols: Sequence[str]) -> list[WrittenSpan]:
        """Eojeols as written, in order, each with those of ``eojeols`` that it stands for.

        Leftmost words are taken, and of these the longest. What follows a word stays attached to
        it. A span holds one eojeol, unless a word is written with other spaces than it was
        recognised with: such a word is one span, whose text may hold spaces.

        >>> words = [BiasWord("KBS", ("케이비에스",)), BiasWord("강남역", ("강남 역",))]
        >>> [span.text for span in WrittenForms(words).spans(["케이비에스는", "강남", "역에서"])]
        ['KBS는', '강남역에서']
        """
        spans: list[WrittenSpan] = []
        at = 0
        while at < len(eojeols):
            text, end = eojeols[at], at + 1
            if self._longest:
                text, end = self._rewritten(eojeols, at)
            pieces = text.split(" ")
            if len(pieces) == end - at:
                spans += [WrittenSpan(p, at + i, at + i + 1) for i, p in enumerate(pieces)]
            else:
                spans.append(WrittenSpan(text, at, end))
            at = end
        return spans

    def _rewritten(self, eojeols: Sequence[str], at: int) -> tuple[str, int]:
        """The text of eojeol ``at`` with all words that begin in it replaced, and where it ends."""
        done, rest, end = "", eojeols[at], at + 1
        while rest:
            found = self._match(rest, eojeols[end:])
            if found is None:
                if not self._anywhere:
                    break
                done, rest = done + rest[0], rest[1:]
                continue
            written, rest, more = found
            done += written
            end += more
            if not self._anywhere:
                break
        return done + rest, end

    def _match(self, text: str, following: Sequence[str]) -> tuple[str, str, int] | None:
        """The longest word that ``text`` and what follows begin with.

        Returns:
            how it is written, the rest of the eojeol it ends in, and how many it reaches beyond.
        """
        for candidate, rest, more in self._beginnings(text, following):
            written = self._written.get(candidate)
            if written is None:
                continue
            if candidate == written or len(candidate) > SHORT or not rest:
                return written, rest, more
            if rest.startswith(_ENDINGS):
                return written, rest, more
        return None

    def _beginnings(self, text: str, following: Sequence[str]) -> Iterator[tuple[str, str, int]]:
        """(beginning, rest of its last eojeol, eojeols it reaches beyond), the longest first."""
        ends = [len(text)]
        for eojeol in following:
            if ends[-1] > self._longest:
                break
            ends.append(ends[-1] + 1 + len(eojeol))
        joined = " ".join([text, *following[: len(ends) - 1]])
        for more in range(len(ends) - 1, -1, -1):
            shortest = ends[more - 1] + 2 if more else 1
            for length in range(min(ends[more], self._longest), shortest - 1, -1):
                yield joined[:length], joined[length : ends[more]], more


def written_forms(words: Sequence[BiasWord], eojeols: Sequence[str]) -> list[WrittenSpan]:
    """As :meth:`WrittenForms.spans`, for a list that is used once."""
    return WrittenForms(words).spans(eojeols)
