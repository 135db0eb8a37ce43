"""The user's own words and grammar, which a model is adapted to."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asr.cli.inputs import check_no_sound

if TYPE_CHECKING:
    from asr.graph.bias_words import BiasWord
    from asr.graph.grammar import Grammar
    from asr.recognizer import Model

logger = logging.getLogger(__name__)

HOTWORD_BOOST = 2.0
"""Nats by which words are preferred whose file says no other number; e^2 times as likely."""


@dataclass(frozen=True, slots=True)
class Adaptation:
    """What was read of them before the model is loaded: a mistake in a list is told at once.

    Attributes:
        lists: of words.
        grammar: whose phrases alone are recognised; None: any.
    """

    lists: tuple[tuple[BiasWord, ...], ...]
    grammar: Grammar | None

    @classmethod
    def read(
        cls, words: Iterable[Path], hotwords: Iterable[Path] = (), grammar: Path | None = None
    ) -> Adaptation:
        """Read the files.

        Raises:
            DataError: one that cannot be understood.
            UsageError: one that is called like a sound.
        """
        from asr.graph.bias_words import read_words_file

        words, hotwords = list(words), list(hotwords)
        named = [("--words", path) for path in words] + [("--hotwords", path) for path in hotwords]
        for option, path in [*named, ("--grammar", grammar)]:
            check_no_sound(option, path)
        read = None
        if grammar is not None:
            from asr.graph.grammar import load_grammar

            read = load_grammar(grammar)
        lists = [read_words_file(path) for path in words]
        lists += [read_words_file(path, boost=HOTWORD_BOOST) for path in hotwords]
        for path, listed in zip([*words, *hotwords], lists, strict=True):
            if not listed:
                logger.warning("%s holds no word: nothing is added", path)
        return cls(tuple(lists), read)

    def of(self, model: Model) -> Model:
        """The model with them."""
        for words in self.lists:
            model = model.add_words(words)
        return model if self.grammar is None else model.with_grammar(self.grammar)
