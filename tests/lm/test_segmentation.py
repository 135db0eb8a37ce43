"""Cutting eojeol into units of several syllables."""

from __future__ import annotations

import io
import math
from itertools import pairwise

import numpy as np
import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import ModelError
from asr.lm.units import SPECIALS, Vocabulary, encode_lines, encode_words, units_to_text

EXACT = settings(derandomize=True, deadline=None, max_examples=150)
EOJEOL = st.text("가나다", min_size=1, max_size=6)
UNITS = st.dictionaries(
    st.tuples(st.sampled_from(["▁", ""]), st.text("가나다", min_size=1, max_size=4)).map("".join),
    st.integers(0, 9),
    min_size=1,
    max_size=14,
).filter(lambda units: any(not unit.startswith("▁") for unit in units))


def vocabulary_of(units: dict[str, int]) -> Vocabulary:
    return Vocabulary((*SPECIALS, *units), (0, 0, 0, *units.values()))


def every_cut(eojeol: str) -> list[list[str]]:
    """All ways to part an eojeol; the first part has the mark."""
    inner = len(eojeol) - 1
    cuts = []
    for mask in range(1 << inner):
        bounds = [0, *(i + 1 for i in range(inner) if mask >> i & 1), len(eojeol)]
        cuts.append([("" if a else "▁") + eojeol[a:b] for a, b in pairwise(bounds)])
    return cuts


@given(EOJEOL, UNITS)
@EXACT
def test_the_cut_is_the_cheapest_of_all(eojeol: str, units: dict[str, int]) -> None:
    vocabulary = vocabulary_of(units)

    def cost(parts: list[str]) -> float:
        return sum(
            units.get(part, 1e6 if len(part.removeprefix("▁")) == 1 else math.inf)
            for part in parts
        )

    found = vocabulary.segment(eojeol)
    assert units_to_text(found) == eojeol
    assert cost(found) == min(map(cost, every_cut(eojeol)))
    assert vocabulary.encode(eojeol) == [vocabulary.ids.get(unit, vocabulary.unk) for unit in found]


@given(st.lists(st.lists(EOJEOL, max_size=4).map(" ".join), max_size=5), UNITS)
@EXACT
def test_lines_encode_as_their_sentences(lines: list[str], units: dict[str, int]) -> None:
    vocabulary = vocabulary_of(units)
    tokens = encode_lines([*lines, " "], vocabulary)
    expected = [
        [vocabulary.bos, *vocabulary.encode(line), vocabulary.eos] for line in lines if line
    ]
    assert tokens.dtype == np.uint16
    assert tokens.tolist() == [token for sentence in expected for token in sentence]
    twice = encode_words([(line, 2) for line in lines], vocabulary)
    assert twice.tolist() == [token for sentence in expected for token in 2 * sentence[:-1]]


def test_without_costs_the_fewest_units_are_taken_and_long_ones_first() -> None:
    units = ["▁가", "▁가나", "나", "다", "나다", "나다라", "라", "▁가나다라마"]
    vocabulary = Vocabulary((*SPECIALS, *units))
    assert vocabulary.segment("가나다 가나다라 가나다라마") == [
        "▁가나", "다", "▁가", "나다라", "▁가나다라마"
    ]  # fmt: skip
    assert vocabulary.segment("마나 다") == ["▁마", "나", "▁다"]  # ▁마 and ▁다 are unknown
    assert vocabulary.encode("마나 다") == [0, vocabulary.ids["나"], 0]


def test_whole_words_are_never_cut() -> None:
    vocabulary = Vocabulary((*SPECIALS, "▁나는", "▁나", "▁간다"))
    assert vocabulary.whole_words
    assert vocabulary.segment("나는 나무 간다") == ["▁나는", "▁나무", "▁간다"]
    assert vocabulary.encode("나는 나무 간다") == [3, 0, 5]
    tokens = encode_lines(["나는 나무 간다"], vocabulary)
    assert tokens.tolist() == [1, 3, 0, 5, 2]


def test_costs_are_checked() -> None:
    with pytest.raises(ModelError, match="2 costs for 4 units"):
        Vocabulary((*SPECIALS, "가"), (1, 2))
    with pytest.raises(ModelError, match="out of range"):
        Vocabulary((*SPECIALS, "가"), (0, 0, 0, 1 << 15))


def test_cuts_are_as_likely_as_sentencepiece_makes_them(training: list[str]) -> None:
    """The same pieces with the same scores: our cut must be as good, up to rounded costs."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(training), model_writer=model, vocab_size=900, minloglevel=2,
        normalization_rule_name="identity", character_coverage=1.0, hard_vocab_limit=False,
    )  # fmt: skip
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = {processor.id_to_piece(i): processor.get_score(i) for i in range(len(processor))}
    mark = pieces.pop("▁")
    for special in SPECIALS:
        pieces.pop(special)
    scores = {}
    for piece, score in pieces.items():  # the bare mark is a piece there, and no unit here
        scores[piece] = max(score, scores.get(piece, -math.inf))
        if not piece.startswith("▁"):
            scores["▁" + piece] = max(mark + score, scores.get("▁" + piece, -math.inf))
    vocabulary = vocabulary_of({unit: round(-100 * score) for unit, score in scores.items()})
    several = 0
    for eojeol in {word for line in training for word in line.split()}:
        ours = vocabulary.segment(eojeol)
        theirs = processor.encode(eojeol, out_type=str)
        best = sum(mark if piece == "▁" else pieces[piece] for piece in theirs)
        rounding = 0.005 * 2 * len(eojeol)
        assert sum(scores[unit] for unit in ours) == pytest.approx(best, abs=rounding)
        several += len(ours) < len(eojeol)
    assert several > 100
