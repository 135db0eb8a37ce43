"""The text of a grammar cut into lines and tokens; see docs/grammar.md for the format."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import NoReturn

from asr.errors import DataError
from asr.graph.grammar_particles import BARE

_LINE_END = re.compile(r"\r\n|\n|\r")
NAME = r"[A-Za-z0-9_가-힣]+"
_DEFINITION = re.compile(rf"\s*\$(?P<name>{NAME})\s*=(?P<body>.*)")
_REFERENCE = re.compile(NAME)
_WEIGHT = re.compile(r"@\s*(\d{1,9}(?:\.\d{1,9})?)\s*(?=[|)\]]|$)")
_BRACKETS = "()[]|"
_SPECIAL = re.compile(r'[()\[\]{}<>|$"@#?]|\s')


class Kind(Enum):
    """What a token is; the brackets and the bar are their own kinds."""

    OPEN_GROUP = "("
    CLOSE_GROUP = ")"
    OPEN_OPTIONAL = "["
    CLOSE_OPTIONAL = "]"
    BAR = "|"
    MAYBE = "?"
    SPACE = " "
    TEXT = "text"
    PARTICLE = "particle"
    REFERENCE = "reference"
    ANGLE = "angle"
    WEIGHT = "weight"


# What a ? right after makes optional; after text it is a question mark.
_MAY_BE_LEFT_OUT = (
    Kind.CLOSE_GROUP,
    Kind.CLOSE_OPTIONAL,
    Kind.PARTICLE,
    Kind.REFERENCE,
    Kind.ANGLE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """``text`` is what stands in it: the words, the forms of a particle, a name, a number."""

    kind: Kind
    text: str
    line: int


@dataclass
class Statement:
    """A phrase, or the definition of the slot ``name``; ``line`` is where it begins."""

    line: int
    name: str = ""
    tokens: list[Token] = field(default_factory=list)


def read_statements(text: str, source: str) -> list[Statement]:
    """Cut a grammar into its phrases and definitions, continuation lines joined.

    Raises:
        DataError: a bracket, quote, particle or weight that is not closed or not understood.
    """
    statements: list[Statement] = []
    for number, line in enumerate(_LINE_END.split(text), 1):
        match = _DEFINITION.match(line)
        body = match["body"] if match else line
        tokens = list(Lexer(body, number, source).tokens())
        if match:
            statements.append(Statement(number, match["name"], tokens))
        elif tokens and tokens[0].kind == Kind.BAR:
            if not statements:
                raise DataError(f"{source}, line {number}: there is no line before this one that "
                                "its | could continue; remove the |")  # fmt: skip
            earlier = statements[-1].tokens
            earlier += tokens if earlier else tokens[1:]
        elif tokens:
            statements.append(Statement(number, "", tokens))
    return statements


class Lexer:
    """Cuts one line. White space at its ends is dropped, inside it is one token."""

    def __init__(self, text: str, line: int, source: str) -> None:
        self.text = text.strip()
        self.line = line
        self.source = source
        self.at = 0

    def fail(self, problem: str) -> NoReturn:
        raise DataError(f"{self.source}, line {self.line}: {problem}")

    def tokens(self) -> Iterator[Token]:
        """All tokens of the line."""
        last: Kind | None = None
        while self.at < len(self.text):
            character = self.text[self.at]
            if character == "#":
                return
            if character == "?" and last in _MAY_BE_LEFT_OUT:
                self.at += 1
                token = Token(Kind.MAYBE, "?", self.line)
            else:
                token = self._token(character)
            last = token.kind
            yield token

    def _token(self, character: str) -> Token:
        bare = BARE.match(self.text, self.at)
        if bare:
            self.at = bare.end()
            return Token(Kind.PARTICLE, bare[0], self.line)
        if character in _BRACKETS:
            self.at += 1
            return Token(Kind(character), character, self.line)
        if character.isspace():
            rest = self.text[self.at :].lstrip()
            self.at = len(self.text) - len(rest)
            return Token(Kind.SPACE, " ", self.line)
        if character == '"':
            return Token(Kind.TEXT, self._until('"', "quote"), self.line)
        if character == "{":
            return Token(Kind.PARTICLE, self._until("}", "bracket").strip(), self.line)
        if character == "<":
            return Token(Kind.ANGLE, self._angle(), self.line)
        if character == "$":
            return self._reference()
        if character == "@":
            return self._weight()
        if character in "}>":
            self.fail(f"there is a {character} without its opening bracket; remove it or put the "
                      'text into quotes "…"')  # fmt: skip
        return self._plain()

    def _plain(self) -> Token:
        begin = self.at
        self.at += 1
        while self.at < len(self.text):
            if BARE.match(self.text, self.at) or (
                self.text[self.at] != "?" and _SPECIAL.match(self.text[self.at])
            ):
                break
            self.at += 1
        return Token(Kind.TEXT, self.text[begin : self.at], self.line)

    def _until(self, close: str, what: str) -> str:
        end = self.text.find(close, self.at + 1)
        if end < 0:
            self.fail(f"a {what} {self.text[self.at]} is not closed; add the {close}")
        inside = self.text[self.at + 1 : end]
        self.at = end + 1
        return inside

    def _angle(self) -> str:
        depth = 0
        for place in range(self.at, len(self.text)):
            depth += (self.text[place] == "<") - (self.text[place] == ">")
            if depth == 0:
                inside = self.text[self.at + 1 : place]
                self.at = place + 1
                return inside
        self.fail("a bracket < is not closed; add the >")

    def _reference(self) -> Token:
        match = _REFERENCE.match(self.text, self.at + 1)
        if match is None:
            self.fail('a $ without a name; write $name, or put the text into quotes "…"')
        self.at = match.end()
        return Token(Kind.REFERENCE, match[0], self.line)

    def _weight(self) -> Token:
        match = _WEIGHT.match(self.text, self.at)
        if match is None or float(match[1]) <= 0:
            self.fail("@ takes a weight above 0 at the end of an alternative (서울 @ 3 | 부산); "
                      'put other text into quotes "…"')  # fmt: skip
        self.at = match.end()
        return Token(Kind.WEIGHT, match[1], self.line)
