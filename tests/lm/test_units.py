"""Sentences and units."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import DataError, ModelError
from asr.lm.units import (
    SPECIALS,
    Vocabulary,
    build_vocabulary,
    encode_lines,
    encode_words,
    ksx1001_syllables,
    text_to_units,
    units_to_text,
)

SYLLABLES = st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)
EOJEOL = st.text(SYLLABLES, min_size=1, max_size=5)
SENTENCE = st.lists(EOJEOL, max_size=6).map(" ".join)
EXACT = settings(derandomize=True, deadline=None, max_examples=60)


@given(SENTENCE)
@EXACT
def test_units_spell_the_sentence_again(text: str) -> None:
    units = text_to_units(text)
    assert units_to_text(["<s>", *units, "</s>"]) == text
    assert [unit.startswith("▁") for unit in units] == [
        i == 0 for word in text.split() for i in range(len(word))
    ]


@given(st.lists(SENTENCE, max_size=5), st.text(alphabet=" \t\r\u00a0\u3000", max_size=2))
@EXACT
def test_lines_encode_as_their_sentences_one_by_one(lines: list[str], blank: str) -> None:
    vocabulary = build_vocabulary([*lines, "가나 다"], min_count=1)
    padded = [blank + line.replace(" ", " " + blank) for line in lines] + [""]
    expected = [
        [vocabulary.bos, *vocabulary.encode(line), vocabulary.eos] for line in lines if line
    ]
    tokens = encode_lines(padded, vocabulary)
    assert tokens.dtype == np.uint16
    assert tokens.tolist() == [token for sentence in expected for token in sentence]
    assert vocabulary.decode(tokens.tolist()) == "".join(" " + line for line in lines if line)[1:]


def test_unknown_characters_are_unk() -> None:
    vocabulary = build_vocabulary(["가나다"], min_count=1)
    assert vocabulary.encode("가A 나") == [vocabulary.ids["▁가"], vocabulary.unk, vocabulary.unk]
    assert encode_lines(["가A 나"], vocabulary).tolist()[1:-1] == vocabulary.encode("가A 나")


def test_ksx1001_opens_the_vocabulary() -> None:
    syllables = ksx1001_syllables()
    assert len(set(syllables)) == 2350
    assert (syllables[0], syllables[-1]) == ("가", "힝")
    assert "뷁" not in syllables
    vocabulary = build_vocabulary(["가", "뷁", "뷁", "a1ㅋ ㅋa"], 2, syllables)
    assert len(vocabulary) == 3 + 2 * 2350 + 1  # ▁뷁 is frequent enough, Latin and jamo never are
    assert vocabulary.units[:3] == SPECIALS
    assert "▁뷁" in vocabulary.ids and "뷁" not in vocabulary.ids


def test_words_are_repeated_and_have_no_sentence_end() -> None:
    vocabulary = build_vocabulary(["가나 다"], min_count=1)
    ga, na, da = (vocabulary.ids[unit] for unit in ("▁가", "나", "▁다"))
    tokens = encode_words([("가나", 2), (" ", 5), ("다", 1), ("가나 다", 0)], vocabulary)
    bos = vocabulary.bos
    assert tokens.tolist() == [bos, ga, na, bos, ga, na, bos, da]
    assert encode_words([], vocabulary).tolist() == []


def test_bad_vocabularies_are_refused() -> None:
    with pytest.raises(ModelError, match="twice"):
        Vocabulary((*SPECIALS, "가", "가"))
    with pytest.raises(ModelError, match="lacks </s>"):
        Vocabulary(("<unk>", "<s>", "가"))
    with pytest.raises(ModelError, match="at most 65536"):
        Vocabulary((*SPECIALS, *map(str, range(1 << 16))))
    with pytest.raises(DataError, match="no Hangul"):
        build_vocabulary(["abc"])
