"""Closed grammars: recognise these phrases and nothing else. The format is told in docs/grammar.md.

>>> grammar = parse_grammar('''
... $도시 = 서울 | 부산 | KBS
... $도시{으로} 가 줘
... ''')
>>> match = grammar.parse("케이비에스로가줘")
>>> match.text, match.slots
('KBS로 가 줘', {'도시': 'KBS'})
>>> grammar.parse("부산로가줘") is None
True
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.errors import DataError
from asr.graph.grammar_compile import SpacingConfig, compile_network, grammar_lookahead
from asr.graph.grammar_files import read_text
from asr.graph.grammar_match import GrammarMatch, match_phrase
from asr.graph.grammar_network import build_network
from asr.graph.grammar_nodes import Node, syllables_of
from asr.graph.grammar_text import GrammarReader
from asr.lm.automaton import LmAutomaton
from asr.lm.units import EOJEOL_MARK, Vocabulary


@dataclass(frozen=True, slots=True)
class Grammar:
    """A grammar that was read: its phrases as a tree.

    Attributes:
        root: the tree.
        source: the file's name, for messages.
        syllable_lines: every syllable that may be said, and the line where it first stands.
    """

    root: Node
    source: str
    syllable_lines: Mapping[str, int]

    def parse(self, units: str | Iterable[str]) -> GrammarMatch | None:
        """The phrase that these units (▁가 or 가) or this Hangul text stand for, or None.

        Spaces and marks do not count.
        """
        return match_phrase(self.root, syllables_of("".join(units)))

    def compile(
        self, vocabulary: Vocabulary, spacing: SpacingConfig | None = None
    ) -> CompiledGrammar:
        """Make it ready for the search over a model's units.

        Raises:
            DataError: a syllable that the model does not know (with its line), a particle that
                no word stands before, or a grammar that grows too large.
        """
        for syllable, line in self.syllable_lines.items():
            if EOJEOL_MARK + syllable not in vocabulary.ids and syllable not in vocabulary.ids:
                raise DataError(
                    f"{self.source}, line {line}: the model does not know the syllable "
                    f"{syllable}; give another reading: <written = reading>"
                )
        network = build_network(self.root, self.source)
        lm = compile_network(network, vocabulary, spacing or SpacingConfig())
        row, table = grammar_lookahead(lm)
        return CompiledGrammar(self, lm, row, table)


@dataclass(frozen=True, slots=True)
class CompiledGrammar:
    """A grammar over a model's units, ready for the search. Immutable.

    Attributes:
        grammar: what it was made of.
        lm: a closed automaton: what the grammar does not allow has ``grammar_compile.NEVER``.
        row: int32 [lm states], each state's row of ``table``.
        table: uint8 [rows, NUM_NODES], exact look-ahead (``grammar_lookahead``).
    """

    grammar: Grammar
    lm: LmAutomaton
    row: NDArray[np.int32]
    table: NDArray[np.uint8]

    def parse(self, units: str | Iterable[str]) -> GrammarMatch | None:
        """As :meth:`Grammar.parse`."""
        return self.grammar.parse(units)


def load_grammar(path: str | Path) -> Grammar:
    """Read a grammar from a file in UTF-8; the lists it names lie beside the file or below.

    Raises:
        DataError: a file that cannot be read or understood: one sentence with the line's number.
    """
    path = Path(path)
    return parse_grammar(read_text(path), source=str(path), folder=path.parent)


def parse_grammar(
    text: str, *, source: str = "the grammar", folder: str | Path | None = None
) -> Grammar:
    """Read a grammar from a string.

    Args:
        source: a name for messages.
        folder: where the lists that it names lie (<file names.txt>); None: it may name none.

    Raises:
        DataError: as :func:`load_grammar`.
    """
    reader = GrammarReader(source, None if folder is None else Path(folder))
    root = reader.read(text)
    return Grammar(root, source, reader.syllable_lines)
