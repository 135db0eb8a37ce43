"""Queries for tools/bench/search.py: names said in real speech, and names with real errors."""

from __future__ import annotations

import lzma
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

from asr.hangul.jamo import compose, decompose, is_syllable

NOUNS = frozenset({"NNG", "NNP", "NNB", "NR", "SN", "XPN", "XR", "XSN"})
MOST_MORPHEMES = 6
CARRIERS = (
    "{}", "{} 찾아줘", "{} 근처 맛집 알려 줘", "{}까지 어떻게 가", "{} 어디야",
    "{} 가는 길 알려 줘",
    "{}에 대해서 알려 줘", "{} 검색해 줘", "지금 {} 날씨 어때", "{} 노래 틀어 줘",
    "{}역 주변 주차장", "여기서 {}까지 얼마나 걸려", "{} 전화번호 좀 알려 주세요",
    "오늘 {} 가려고 하는데 길 좀 찾아 줘",
)  # fmt: skip


def read_names(path: Path) -> list[str]:
    """The names of a table of kind, TAB, name; each once."""
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return list(dict.fromkeys(line.rstrip("\n").split("\t")[1] for line in file))


class NamesSaid:
    """Finds proper names of a list in reference texts.

    A name counts where it is a run of whole morphemes, all nouns and one at least a proper noun,
    by Kiwi's analysis; of overlapping ones the longest, from the left. So 때문에, which some list
    has as a name, is none.
    """

    def __init__(self, names: Iterable[str]) -> None:
        from kiwipiepy import Kiwi

        self._names = set(names)
        self._kiwi = Kiwi()

    def of(self, text: str) -> list[str]:
        """The names in a text, each once."""
        tokens = self._kiwi.tokenize(text)
        found: dict[str, None] = {}
        at = 0
        while at < len(tokens):
            longest = 0
            for end in range(at + 1, min(len(tokens), at + MOST_MORPHEMES) + 1):
                group = tokens[at:end]
                if any(token.tag not in NOUNS for token in group):
                    break
                name = text[group[0].start : group[-1].end]
                proper = any(token.tag == "NNP" for token in group)
                if proper and len(name) > 1 and name in self._names:
                    longest = end - at
                    best = name
            if longest:
                found[best] = None
            at += max(longest, 1)
        return list(found)


@dataclass
class Noise:
    """How a recogniser errs, counted from references and what it made of them.

    substitutions: (letters of a syllable that was said, of the one that was heard instead).
    """

    said: int = 0
    lost: int = 0
    added: int = 0
    substitutions: list[tuple[tuple[int, int, int], tuple[int, int, int]]] = field(
        default_factory=list
    )

    def count(self, reference: str, heard: str) -> None:
        """Take the errors of one utterance."""
        ref, hyp = (list(filter(is_syllable, text)) for text in (reference, heard))
        self.said += len(ref)
        matcher = SequenceMatcher(None, ref, hyp, autojunk=False)
        for _, i0, i1, j0, j1 in matcher.get_opcodes():
            common = min(i1 - i0, j1 - j0)
            for one, other in zip(ref[i0 : i0 + common], hyp[j0 : j0 + common], strict=True):
                if one != other:
                    self.substitutions.append((decompose(one), decompose(other)))
            self.lost += i1 - i0 - common
            self.added += j1 - j0 - common

    @property
    def rate(self) -> float:
        """Errors a syllable."""
        return (self.lost + self.added + len(self.substitutions)) / max(1, self.said)

    def applied(self, text: str, rng: random.Random, scale: float = 1.0) -> str:
        """The text with such errors; ``scale``: so many times as often."""
        return "".join(
            self._heard(letter, rng, scale) if is_syllable(letter) else letter for letter in text
        )

    def _heard(self, syllable: str, rng: random.Random, scale: float) -> str:
        draw = rng.random() * self.said / scale
        if draw < self.lost:
            return ""
        if draw < self.lost + self.added:
            return syllable + compose(*rng.choice(self.substitutions)[1])
        if draw < self.lost + self.added + len(self.substitutions):
            return self._substituted(syllable, rng)
        return syllable

    def _substituted(self, syllable: str, rng: random.Random) -> str:
        """Some error that was made with as similar a syllable as a few dozen draws find."""
        letters = decompose(syllable)
        draws = rng.choices(self.substitutions, k=40)
        said, heard = max(draws, key=lambda pair: sum(map(int.__eq__, pair[0], letters)))
        return compose(*(
            new if old != new else kept
            for kept, old, new in zip(letters, said, heard, strict=True)
        ))  # fmt: skip


def looked_up(names: set[str], text: str, longest: int = 14) -> list[str]:
    """Names that stand in a text letter by letter, spaces aside: the longest first."""
    joined = text.replace(" ", "")
    found: dict[str, int] = {}
    for begin in range(len(joined)):
        for end in range(begin + 1, min(len(joined), begin + longest) + 1):
            if joined[begin:end] in names:
                found.setdefault(joined[begin:end], begin)
    return sorted(found, key=lambda name: (-len(name), found[name]))


def combined(names: Sequence[str], count: int, rng: random.Random) -> Iterator[str]:
    """So many different names: those given, then pairs of them."""
    made = dict.fromkeys(names)
    yield from made
    while len(made) < count:
        name = f"{rng.choice(names)} {rng.choice(names)}"
        if name not in made and len(name) <= 12:
            made[name] = None
            yield name


def recall(targets: Sequence[Sequence[str]], ranked: Sequence[Sequence[str]], k: int) -> float:
    """The share of targets among the first k; of several said together, as many more count.

    An utterance in which n names were said has n right answers: each counts as found where it is
    among the first k + n − 1.
    """
    found: Counter[bool] = Counter()
    for wanted, names in zip(targets, ranked, strict=True):
        first = set(names[: k + len(wanted) - 1])
        found.update(name in first for name in wanted)
    return found[True] / max(1, found.total())
