"""From recognised syllables back to the phrase as it is written, with its slots filled."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

from asr.graph.grammar_nodes import (
    Choice,
    Entries,
    Literal,
    Node,
    Particle,
    Sequence,
    Slot,
    Space,
    ending,
    syllables_of,
)


@dataclass(frozen=True, slots=True)
class Piece:
    """An eojeol of the written text, and the recognised syllables (from, to) that it stands for."""

    text: str
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class GrammarMatch:
    """A phrase of a grammar.

    Attributes:
        text: as the grammar writes it (KBS, 230번), spaces as in the grammar.
        spoken: the same in Hangul as it was said (케이비에스, 이백삼십번), the same spaces.
        slots: name → written text of each slot; a name used again gets ".2", ".3" …
        pieces: the eojeol of ``text`` in order, for their times.
    """

    text: str
    spoken: str
    slots: dict[str, str] = field(default_factory=dict)
    pieces: tuple[Piece, ...] = ()


@dataclass(frozen=True, slots=True)
class _Out:
    """What a stretch of syllables stands for: a leaf, or two stretches, one after the other.

    A leaf is words (``written``), a space (``written`` is " ") or, with ``slot``, the beginning
    ("<") or the end (">") of a slot.
    """

    written: str = ""
    begin: int = 0
    end: int = 0
    slot: str = ""
    left: _Out | None = None
    right: _Out | None = None


_Found = dict[int, tuple[float, _Out | None]]


def match_phrase(root: Node, syllables: str) -> GrammarMatch | None:
    """The likeliest way in which the grammar gives these syllables; None if it does not.

    Of equally likely ways the one that stands first in the grammar is taken.
    """
    found = _Matcher(syllables).match(root, 0).get(len(syllables)) if syllables else None
    return None if found is None else _read(found[1], syllables)


class _Matcher:
    """Matches nodes against the syllables from a place on: all ends, each with its best way."""

    def __init__(self, syllables: str) -> None:
        self.syllables = syllables
        self._known: dict[tuple[int, int], _Found] = {}

    def match(self, node: Node, place: int) -> _Found:
        if isinstance(node, Literal):
            spoken = syllables_of(node.spoken)
            return self._said(spoken, node.written, place)
        if isinstance(node, Space):
            return {place: (0.0, _Out(" ", place, place))}
        if isinstance(node, Particle):
            if place == 0:
                return {}
            form = node.form(ending(self.syllables[place - 1]))
            return self._said(form, form, place)
        key = (id(node), place)
        if key not in self._known:
            if isinstance(node, Sequence):
                self._known[key] = self._sequence(node, place)
            elif isinstance(node, Choice):
                self._known[key] = self._choice(node, place)
            elif isinstance(node, Slot):
                self._known[key] = self._slot(node, place)
            else:
                self._known[key] = self._entries(node, place)
        return self._known[key]

    def _said(self, spoken: str, written: str, place: int) -> _Found:
        if not self.syllables.startswith(spoken, place):
            return {}
        end = place + len(spoken)
        return {end: (0.0, _Out(written, place, end))}

    def _sequence(self, node: Sequence, place: int) -> _Found:
        ways: _Found = {place: (0.0, None)}
        for item in node.items:
            longer: _Found = {}
            for middle, (logp, out) in ways.items():
                for end, (more, following) in self.match(item, middle).items():
                    _improve(longer, end, logp + more, _both(out, following))
            ways = longer
        return ways

    def _choice(self, node: Choice, place: int) -> _Found:
        total = sum(node.weights)
        ways: _Found = {}
        for option, weight in zip(node.options, node.weights, strict=True):
            for end, (logp, out) in self.match(option, place).items():
                _improve(ways, end, logp + math.log(weight / total), out)
        return ways

    def _slot(self, node: Slot, place: int) -> _Found:
        return {
            end: (
                logp,
                _both(_Out("<", slot=node.name), _both(out, _Out(">", slot=node.name))),
            )
            for end, (logp, out) in self.match(node.body, place).items()
        }

    def _entries(self, node: Entries, place: int) -> _Found:
        ways: _Found = {}
        for end in range(place + 1, min(len(self.syllables), place + node.longest) + 1):
            entry = node.by_syllables.get(self.syllables[place:end])
            if entry is not None:
                logp = math.log(entry.weight / node.total)
                ways[end] = (logp, _Out(entry.written, place, end))
        return ways


def _improve(ways: _Found, end: int, logp: float, out: _Out | None) -> None:
    if end not in ways or logp > ways[end][0] + 1e-9:
        ways[end] = (logp, out)


def _both(left: _Out | None, right: _Out | None) -> _Out | None:
    if left is None or right is None:
        return left or right
    return _Out(left=left, right=right)


def _leaves(out: _Out | None) -> Iterator[_Out]:
    waiting = [out]
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        if node.left is not None:
            waiting += [node.right, node.left]
        else:
            yield node


def _read(out: _Out | None, syllables: str) -> GrammarMatch:
    written, spoken = "", ""
    slots: dict[str, str] = {}
    open_: list[tuple[str, int]] = []
    spans: list[tuple[str, int, int]] = []  # written pieces without spaces, and "" for a space
    for leaf in _leaves(out):
        if leaf.slot and leaf.written == "<":
            name, again = leaf.slot, 2
            while name in slots:
                name, again = f"{leaf.slot}.{again}", again + 1
            slots[name] = ""
            open_.append((name, len(written)))
        elif leaf.slot:
            name, start = open_.pop()
            slots[name] = " ".join(written[start:].split())
        else:
            written += leaf.written
            spoken += " " if leaf.written == " " else syllables[leaf.begin : leaf.end]
            spans += _spans(leaf)
    return GrammarMatch(
        " ".join(written.split()), " ".join(spoken.split()), slots, tuple(_pieces(spans))
    )


def _spans(leaf: _Out) -> Iterator[tuple[str, int, int]]:
    """A leaf cut at its spaces; its syllables are shared out by length where it has several."""
    if leaf.written == " ":
        yield "", leaf.begin, leaf.end
        return
    words = leaf.written.split()
    lengths = [len(word) for word in words]
    said = leaf.end - leaf.begin
    done = 0
    for number, word in enumerate(words):
        begin = leaf.begin + said * done // sum(lengths)
        done += lengths[number]
        if number:
            yield "", begin, begin
        yield word, begin, leaf.begin + said * done // sum(lengths)


def _pieces(spans: list[tuple[str, int, int]]) -> Iterator[Piece]:
    text, begin, end = "", 0, 0
    for word, first, last in [*spans, ("", 0, 0)]:
        if word:
            begin = begin if text else first
            text, end = text + word, last
        elif text:
            yield Piece(text, begin, end)
            text = ""
