"""Jamo: against the `jamo` package, the Unicode database and their own inverse."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import DataError
from asr.hangul.jamo import (
    CODAS,
    FIRST_SYLLABLE,
    LAST_SYLLABLE,
    NUCLEI,
    ONSETS,
    compose,
    decompose,
    from_jamo,
    is_syllable,
    normalize_jamo,
    to_jamo,
)

ALL_SYLLABLES = [chr(code) for code in range(FIRST_SYLLABLE, LAST_SYLLABLE + 1)]
syllables = st.text(st.characters(min_codepoint=FIRST_SYLLABLE, max_codepoint=LAST_SYLLABLE))


def test_all_syllables_go_apart_and_together() -> None:
    assert len(ALL_SYLLABLES) == 11_172
    assert [compose(*decompose(syllable)) for syllable in ALL_SYLLABLES] == ALL_SYLLABLES
    assert {decompose(syllable) for syllable in ALL_SYLLABLES} == {
        (onset, nucleus, coda)
        for onset in range(len(ONSETS))
        for nucleus in range(len(NUCLEI))
        for coda in range(len(CODAS))
    }


def test_decomposition_is_that_of_the_jamo_package() -> None:
    jamo = pytest.importorskip("jamo")
    for syllable in ALL_SYLLABLES:
        onset, nucleus, coda = decompose(syllable)
        expected = jamo.j2hcj(jamo.h2j(syllable))
        assert ONSETS[onset] + NUCLEI[nucleus] + CODAS[coda] == expected
        assert to_jamo(syllable) == expected


def test_composition_is_that_of_the_jamo_package() -> None:
    jamo = pytest.importorskip("jamo")
    for onset, nucleus, coda in [(0, 0, 0), (18, 20, 27), (11, 8, 21), (9, 19, 18)]:
        letters = [letter for letter in (ONSETS[onset], NUCLEI[nucleus], CODAS[coda]) if letter]
        assert compose(onset, nucleus, coda) == jamo.j2h(*letters)


def test_conjoining_jamo_are_those_of_unicode() -> None:
    for syllable in ALL_SYLLABLES[::37]:
        apart = unicodedata.normalize("NFD", syllable)
        assert normalize_jamo(apart) == syllable
        assert to_jamo(apart) == to_jamo(syllable)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\u1112\u1161\u11ab", "한"),  # conjoining
        ("\u1112", "ㅎ"),  # a lone conjoining onset
        ("\u11b9", "ㅄ"),  # a lone conjoining coda
        ("ﾡￂ", "ㄱㅏ"),  # halfwidth
        ("ㅋㅋ 값", "ㅋㅋ 값"),
        ("abc 12", "abc 12"),
    ],
)
def test_every_kind_of_jamo_becomes_compatibility_jamo(text: str, expected: str) -> None:
    assert normalize_jamo(text) == expected


def test_halfwidth_letters_are_those_of_unicode() -> None:
    for code in range(0xFFA1, 0xFFDD):
        name = unicodedata.name(chr(code), "")
        if name:
            wide = unicodedata.lookup(name.removeprefix("HALFWIDTH "))
            assert normalize_jamo(chr(code)) == wide, name


@pytest.mark.parametrize(
    ("letters", "text"),
    [
        ("ㄱㅏㅂㅅㅇㅣ", "값이"),
        ("ㄱㅏㅂㅅㅣ", "갑시"),
        ("ㅇㅓㅂㅆㅣ", "업씨"),
        ("ㄱㅏㄸㅏ", "가따"),
        ("ㅋㅋㅋ", "ㅋㅋㅋ"),
        ("ㅏㄱㅏ", "ㅏ가"),
        ("ㅎㅏㄴ ㄱㅜㄱ!", "한 국!"),
        ("ﾡￂﾤ", "간"),
    ],
)
def test_jamo_compose_as_on_a_keyboard(letters: str, text: str) -> None:
    assert from_jamo(letters) == text


@given(syllables)
@settings(derandomize=True, deadline=None)
def test_composing_undoes_decomposing(text: str) -> None:
    assert from_jamo(to_jamo(text)) == text


@given(st.text())
@settings(derandomize=True, deadline=None)
def test_any_text_is_taken(text: str) -> None:
    assert normalize_jamo(normalize_jamo(text)) == normalize_jamo(text)
    assert to_jamo(from_jamo(to_jamo(text))) == to_jamo(text)


@pytest.mark.parametrize("other", ["", "ㄱ", "a", "가나", "\u1100"])
def test_only_syllables_decompose(other: str) -> None:
    assert not is_syllable(other)
    with pytest.raises(DataError, match="not a Hangul syllable"):
        decompose(other)


@pytest.mark.parametrize("indices", [(19, 0, 0), (0, 21, 0), (0, 0, 28), (-1, 0, 0)])
def test_indices_out_of_range_are_refused(indices: tuple[int, int, int]) -> None:
    with pytest.raises(DataError, match="jamo indices"):
        compose(*indices)
