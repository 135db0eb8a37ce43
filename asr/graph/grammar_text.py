"""Reading the text format of closed grammars (docs/grammar.md) into a tree of nodes.

Every line is a phrase, a definition ``$name = …`` or the continuation ``| …`` of the line before.
All errors are :class:`~asr.errors.DataError` with the line's number.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence as Tokens
from pathlib import Path
from typing import NoReturn

from asr.errors import DataError
from asr.graph import grammar_numbers as numbers
from asr.graph.grammar_files import LONGEST_ENTRY, read_entries
from asr.graph.grammar_nodes import (
    Choice,
    Entries,
    Entry,
    Literal,
    Node,
    Particle,
    Sequence,
    Slot,
    Space,
    children,
    optional,
    syllables_of,
)
from asr.graph.grammar_particles import PAIRS, read_particle
from asr.graph.grammar_reading import read_aloud, read_pieces
from asr.graph.grammar_tokens import NAME, Kind, Lexer, Statement, Token, read_statements

MOST_BRACKETS = 20
MOST_RULES_DEEP = 12
_NUMBER = re.compile(r"number\s+(\d{1,9})\s*-\s*(\d{1,9})(?:\s+(\w+))?")
_DIGITS = re.compile(r"digits\s+(\d{1,9})(?:\s*-\s*(\d{1,9}))?(?:\s+(\w+))?")
_FILE = re.compile(r"file\s+(.+)")
_LABEL = re.compile(rf"(?!\d)({NAME})\s*:\s*(\S.*)")
_SPELLING = re.compile(r"([^=<>]+)=([^=<>]+)")
_CLOSING = {Kind.OPEN_GROUP: Kind.CLOSE_GROUP, Kind.OPEN_OPTIONAL: Kind.CLOSE_OPTIONAL}
_ENDS = (Kind.BAR, *_CLOSING.values())


class GrammarReader:
    """Reads one grammar. ``syllable_lines`` tells where each syllable is first said."""

    def __init__(self, source: str, folder: Path | None) -> None:
        self.source = source
        self.folder = folder
        self.syllable_lines: dict[str, int] = {}
        self._definitions: dict[str, Statement] = {}
        self._rules: dict[str, Node] = {}
        self._open: list[str] = []
        self._referred: set[str] = set()
        self._files: dict[str, Entries] = {}

    def fail(self, line: int, problem: str) -> NoReturn:
        """Raise the error of a line."""
        raise DataError(f"{self.source}, line {line}: {problem}")

    def read(self, text: str) -> Node:
        """The tree of the whole grammar: any of its phrases.

        Without a phrase, the slots that no other slot uses are the phrases.
        """
        phrases = []
        composed = unicodedata.normalize("NFC", text.removeprefix("\ufeff"))
        for statement in read_statements(composed, self.source):
            if statement.name:
                self._define(statement)
            else:
                phrases.append(statement)
        parsed = [self._parse(statement) for statement in phrases]
        for name, statement in self._definitions.items():
            self.rule(name, statement.line)
        if not parsed:
            roots = [name for name in self._definitions if name not in self._referred]
            parsed = [(Slot(name, self._rules[name]), 1.0) for name in roots]
        if not parsed:
            raise DataError(f"{self.source} holds no phrase: write one a line")
        return Choice(tuple(node for node, _ in parsed), tuple(weight for _, weight in parsed))

    def rule(self, name: str, line: int) -> Node:
        """The tree of a defined slot, read when it is first asked for."""
        if name in self._open:
            circle = [*self._open[self._open.index(name) :], name]
            self.fail(line, f"a slot must not hold itself ({' → '.join('$' + n for n in circle)}); "
                      "write out what it may be")  # fmt: skip
        if name not in self._rules:
            if len(self._open) >= MOST_RULES_DEEP:
                self.fail(line, f"slots hold slots more than {MOST_RULES_DEEP} deep; flatten them")
            self._open.append(name)
            node, _ = self._parse(self._definitions[name])
            self._rules[name] = node
            self._open.pop()
        return self._rules[name]

    def find(self, written: str, line: int) -> tuple[str, str]:
        """The slot that the text after a $ begins with, and the text that follows.

        Of $도시에서 the longest beginning that is defined; Latin letters and digits are not cut.
        """
        for length in range(len(written), 0, -1):
            ascii_goes_on = re.match(r"[A-Za-z0-9_]{2}", written[length - 1 : length + 1])
            if written[:length] in self._definitions and not ascii_goes_on:
                self._referred.add(written[:length])
                return written[:length], written[length:]
        self.fail(line, f"${written} is not defined; add a line ${written} = …")

    def file(self, name: str, line: int) -> Entries:
        """The list in a file beside the grammar."""
        if name not in self._files:
            if self.folder is None:
                self.fail(line, f"<file {name}>: lists lie beside the grammar's own file; load the "
                          "grammar from a file")  # fmt: skip
            try:
                self._files[name] = read_entries(self.folder, name)
            except DataError as error:
                self.fail(line, f"<file {name}>: {error}")
            for syllable in set("".join(self._files[name].by_syllables)):
                self.said(syllable, line)
        return self._files[name]

    def said(self, spoken: str, line: int) -> None:
        """Note the syllables of a line."""
        for syllable in syllables_of(spoken):
            self.syllable_lines.setdefault(syllable, line)

    def _define(self, statement: Statement) -> None:
        if statement.name in self._definitions:
            first = self._definitions[statement.name].line
            self.fail(statement.line, f"${statement.name} is defined in line {first} already; "
                      "rename one of them")  # fmt: skip
        self._definitions[statement.name] = statement

    def _parse(self, statement: Statement) -> tuple[Node, float]:
        node, weight = Parser(self, statement.tokens, statement.line).whole()
        if not _speaks(node):
            self.fail(statement.line, "nothing in it can be spoken; write it in Hangul")
        return node, weight


def _speaks(node: Node) -> bool:
    """Whether a node holds a syllable at all."""
    done: set[int] = set()
    waiting = [node]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Entries | Literal):
            return True
        if id(node) not in done:
            done.add(id(node))
            waiting.extend(children(node))
    return False


class Parser:
    """Recursive descent over one statement: alternatives of sequences of parts."""

    def __init__(
        self,
        reader: GrammarReader,
        tokens: Tokens[Token],
        line: int,
        around: Parser | None = None,
    ) -> None:
        self.reader = reader
        self.tokens = list(tokens)
        self.line = line
        self.at = 0
        self.around = around
        self.depth: int = around.depth if around else 0

    def whole(self) -> tuple[Node, float]:
        """All of it, and its weight (of a single alternative; of several, 1)."""
        node, weights = self.alternatives()
        if self.at < len(self.tokens):
            token = self.tokens[self.at]
            self.reader.fail(token.line, f"there is a {token.text} without its opening bracket; "
                             'remove it or put the text into quotes "…"')  # fmt: skip
        return node, weights[0] if len(weights) == 1 else 1.0

    def alternatives(self) -> tuple[Node, list[float]]:
        """a | b | c: the node, and each one's weight."""
        self.depth += 1
        if self.depth > MOST_BRACKETS:
            self.reader.fail(self.line, f"brackets hold brackets more than {MOST_BRACKETS} deep; "
                             "define slots with $name = …")  # fmt: skip
        nodes, weights = [], []
        while True:
            node, weight = self._sequence()
            nodes.append(node)
            weights.append(weight)
            if self._next() != Kind.BAR:
                break
            self.at += 1
        self.depth -= 1
        node = nodes[0] if len(nodes) == 1 else Choice(tuple(nodes), tuple(weights))
        return node, weights

    def _next(self) -> Kind | None:
        return self.tokens[self.at].kind if self.at < len(self.tokens) else None

    def _sequence(self) -> tuple[Node, float]:
        items: list[Node] = []
        weight = 1.0
        line = self.tokens[min(self.at, len(self.tokens) - 1)].line if self.tokens else self.line
        while self._next() not in (None, *_ENDS):
            token = self.tokens[self.at]
            self.at += 1
            if token.kind == Kind.WEIGHT:
                weight = float(token.text)
            elif token.kind == Kind.MAYBE:
                items[-1] = optional(items[-1])
            elif token.kind == Kind.TEXT:
                items += self._words(token)
            else:
                items += self._part(token)
        while items and isinstance(items[-1], Space):
            items.pop()
        while items and isinstance(items[0], Space):
            items.pop(0)
        if not items:
            self.reader.fail(line, "an alternative is empty; remove the | or the brackets, or use "
                             "[…] for what may be left out")  # fmt: skip
        return items[0] if len(items) == 1 else Sequence(tuple(items)), weight

    def _part(self, token: Token) -> list[Node]:
        if token.kind == Kind.SPACE:
            return [Space()]
        if token.kind == Kind.PARTICLE:
            return [self._particle(token)]
        if token.kind == Kind.REFERENCE:
            name, rest = self.reader.find(token.text, token.line)
            if rest:  # put back, so that it joins the words that follow
                self.tokens.insert(self.at, Token(Kind.TEXT, rest, token.line))
            return [Slot(name, self.reader.rule(name, token.line))]
        if token.kind == Kind.ANGLE:
            return [self._angle(token)]
        return [self._group(token)]

    def _group(self, token: Token) -> Node:
        node, _ = self.alternatives()
        close = _CLOSING[token.kind]
        if self._next() != close:
            self.reader.fail(
                token.line, f"a bracket {token.text} is not closed; add the {close.value}"
            )
        self.at += 1
        return optional(node) if token.kind == Kind.OPEN_OPTIONAL else node

    def _words(self, token: Token) -> list[Node]:
        """A run of words up to the next token of another kind, read as a whole."""
        written = token.text
        while self._next() == Kind.TEXT or (
            self._next() == Kind.SPACE
            and self.at + 1 < len(self.tokens)
            and self.tokens[self.at + 1].kind == Kind.TEXT
        ):
            written += self.tokens[self.at].text
            self.at += 1
        pieces = read_pieces(written)
        if pieces is None:
            self.reader.fail(token.line, f"no rule reads {written!r} surely; give its reading: "
                             f"<{written} = 한글 발음>")  # fmt: skip
        if not pieces:
            self.reader.fail(token.line, f"{written!r} cannot be spoken; write Hangul, or give its "
                             f"reading: <{written} = 한글 발음>")  # fmt: skip
        self.reader.said(written, token.line)
        nodes: list[Node] = []
        for text, spoken in pieces:
            self.reader.said(spoken, token.line)
            nodes += [Space(), Literal(text, spoken)]
        return nodes[1:]

    def _particle(self, token: Token) -> Node:
        forms = read_particle(token.text)
        if forms is None:
            known = ", ".join("/".join(pair) for pair in PAIRS[:6])
            self.reader.fail(token.line, f"{{{token.text}}} is no particle; write one of {known} "
                             "…, or both forms: {이랑/랑}")  # fmt: skip
        self.reader.said("".join(forms), token.line)
        return Particle(*forms, token.line)

    def _angle(self, token: Token) -> Node:
        text = token.text.strip()
        if match := _NUMBER.fullmatch(text):
            return Slot("number", self._number(token, int(match[1]), int(match[2]), match[3]))
        if match := _DIGITS.fullmatch(text):
            return Slot("digits", self._digits(token, int(match[1]), match[2], match[3]))
        if match := _FILE.fullmatch(text):
            return Slot("file", self.reader.file(match[1].strip(), token.line))
        if match := _LABEL.fullmatch(text):
            return self._labelled(token, match[1], match[2])
        if match := _SPELLING.fullmatch(text):
            return self._spelling(token, match[1].strip(), match[2])
        self.reader.fail(
            token.line,
            f"<{text}> is not understood; write <number 1-100>, <digits 4-11>, <file names.txt>, "
            "<name: $slot> or <K-POP = 케이팝>",
        )

    def _form(self, token: Token, form: str | None) -> str:
        if form not in (None, *numbers.FORMS):
            self.reader.fail(token.line, f"<{token.text}>: {form} is none of "
                             f"{', '.join(numbers.FORMS)}")  # fmt: skip
        return form or "both"

    def _number(self, token: Token, low: int, high: int, form: str | None) -> Entries:
        if not 0 <= high - low < numbers.MOST_NUMBERS:
            self.reader.fail(token.line, f"<{token.text}>: write the smaller number first, and at "
                             f"most {numbers.MOST_NUMBERS:,} numbers")  # fmt: skip
        entries = numbers.number_entries(low, high, self._form(token, form), self.following())
        self.reader.said("".join(set("".join(entries.by_syllables))), token.line)
        return entries

    def _digits(self, token: Token, fewest: int, most: str | None, form: str | None) -> Node:
        longest = fewest if most is None else int(most)
        if not 1 <= fewest <= longest <= numbers.MOST_DIGITS:
            self.reader.fail(token.line, f"<{token.text}>: write how many digits at least and at "
                             f"most, 1 to {numbers.MOST_DIGITS}: <digits 4-11>")  # fmt: skip
        self.reader.said("영공일이삼사오육칠팔구하나둘셋넷다섯여섯일곱여덟아홉", token.line)
        return numbers.digits_node(fewest, longest, self._form(token, form))

    def following(self) -> str | None:
        """The words right after this place ("" for none); None where they are not fixed."""
        for token in self.tokens[self.at :]:
            if token.kind == Kind.TEXT:
                return token.text
            if token.kind in (Kind.PARTICLE, Kind.WEIGHT, *_ENDS):
                return ""
            if token.kind != Kind.SPACE:
                return None
        return self.around.following() if self.around else ""

    def _labelled(self, token: Token, name: str, body: str) -> Node:
        """<name: …>: a slot of this name; a slot right inside loses its own."""
        if _NUMBER.fullmatch(body) or _DIGITS.fullmatch(body) or _FILE.fullmatch(body):
            body = f"<{body}>"
        tokens = list(Lexer(body, token.line, self.reader.source).tokens())
        node, _ = Parser(self.reader, tokens, token.line, self).whole()
        return Slot(name, node.body if isinstance(node, Slot) else node)

    def _spelling(self, token: Token, written: str, readings: str) -> Node:
        words = []
        for reading in readings.split("|"):
            spoken = read_aloud(reading.strip())
            if not spoken or len(spoken) > LONGEST_ENTRY:
                self.reader.fail(token.line, f"{reading.strip()!r} is no reading; write Hangul: "
                                 f"<{written} = 한글 발음>")  # fmt: skip
            self.reader.said(spoken, token.line)
            words.append(Entry(written, spoken))
        return Entries(tuple(words))
