"""Descriptors: the small language that glues the nodes of an nnet3 graph.

``Append(Offset(input, -1), input, ReplaceIndex(ivector, t, 0))`` and
``Sum(Scale(0.66, a), b)`` say what a node reads (Kaldi nnet3/nnet-descriptor.h).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from asr.errors import ModelError

_TOKEN = re.compile(r"\s*(?:([A-Za-z_][\w.\-]*)|([-+]?[\d.]+(?:[eE][-+]?\d+)?)|([(),]))")
_MAX_DEPTH = 64

#: operator → (parts, numbers after them); None parts = one or more. Scale has its number first.
_ARITY: dict[str, tuple[int | None, int]] = {
    "Append": (None, 0),
    "Sum": (None, 0),
    "Switch": (None, 0),
    "Failover": (2, 0),
    "IfDefined": (1, 0),
    "Offset": (1, 1),
    "Round": (1, 1),
    "ReplaceIndex": (1, 1),
}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A node of the expression tree.

    Attributes:
        op: "Node" for a node's name, else the operator.
        parts: the operands.
        name: the node's name; "t" or "x" for ReplaceIndex.
        numbers: Offset (t,), Scale (factor,), Round (modulus,), ReplaceIndex (value,),
            Const (value, dim).
    """

    op: str
    parts: tuple[Descriptor, ...] = ()
    name: str = ""
    numbers: tuple[float, ...] = ()

    def nodes(self) -> Iterator[str]:
        """The names of all nodes it reads, with repetitions."""
        if self.op == "Node":
            yield self.name
        for part in self.parts:
            yield from part.nodes()


def parse_descriptor(text: str) -> Descriptor:
    """Parse a descriptor.

    Raises:
        ModelError: a syntax error, with the text.
    """
    parser = _Parser(text)
    tree = parser.descriptor(_MAX_DEPTH)
    if parser.tokens[parser.position] != "":
        parser.fail("the end")
    return tree


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = _tokens(text)
        self.position = 0

    def fail(self, expected: str) -> ModelError:
        found = self.tokens[self.position] or "the end"
        raise ModelError(f"descriptor {self.text!r}: expected {expected}, found {found!r}")

    def next(self) -> str:
        self.position += 1
        return self.tokens[self.position - 1]

    def expect(self, token: str) -> None:
        if self.tokens[self.position] != token:
            self.fail(repr(token))
        self.position += 1

    def number(self) -> float:
        try:
            return float(self.next())
        except ValueError:
            self.position -= 1
            raise self.fail("a number") from None

    def descriptor(self, depth: int) -> Descriptor:
        if depth == 0:
            self.fail(f"at most {_MAX_DEPTH} nested brackets")
        word = self.tokens[self.position]
        if not re.match(r"[A-Za-z_]", word):
            self.fail("a node or an operator")
        self.position += 1
        if self.tokens[self.position] != "(":
            return Descriptor("Node", name=word)
        self.position += 1
        if word == "Scale":
            return self._scale(depth)
        if word == "Const":
            return self._const()
        if word not in _ARITY:
            self.position -= 2
            self.fail("an operator such as Append, Sum, Scale or Offset")
        return self._operator(word, depth)

    def _scale(self, depth: int) -> Descriptor:
        factor = self.number()
        self.expect(",")
        part = self.descriptor(depth - 1)
        self.expect(")")
        return Descriptor("Scale", (part,), numbers=(factor,))

    def _const(self) -> Descriptor:
        value = self.number()
        self.expect(",")
        dim = self.number()
        self.expect(")")
        return Descriptor("Const", numbers=(value, dim))

    def _operator(self, word: str, depth: int) -> Descriptor:
        num_parts, num_numbers = _ARITY[word]
        parts = [self.descriptor(depth - 1)]
        while len(parts) != num_parts and self.tokens[self.position] == ",":
            self.position += 1
            parts.append(self.descriptor(depth - 1))
        name = ""
        if word == "ReplaceIndex":
            self.expect(",")
            name = self.next()
        numbers = []
        for _ in range(num_numbers):
            self.expect(",")
            numbers.append(self.number())
        if word == "Offset" and self.tokens[self.position] == ",":
            self.position += 1
            if self.number() != 0:
                self.fail("an offset in t only")
        self.expect(")")
        if num_parts is not None and len(parts) != num_parts:
            self.fail(f"{num_parts} operands of {word}")
        return Descriptor(word, tuple(parts), name, tuple(numbers))


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    text = text.strip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ModelError(f"descriptor {text!r}: cannot be read at character {position}")
        tokens.append(match.group().strip())
        position = match.end()
    return [*tokens, ""]
