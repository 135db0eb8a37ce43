"""The jamo lexicon transducer speaks what 표준발음법 prescribes, across units and spaces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import UsageError
from asr.graph.lexicon import (
    OUTSIDE,
    SILENCE,
    START,
    Kind,
    Lexicon,
    LexiconConfig,
    State,
    SyllableLexicon,
)
from asr.hangul.exceptions import respellings
from asr.hangul.jamo import compose
from asr.hangul.junction import Boundary, final_coda, junction
from asr.hangul.phones import PHONES
from asr.hangul.pronunciation import pronounce
from asr.hangul.variants import every_pronunciation
from asr.lm.units import EOJEOL_MARK, text_to_units

Said = dict[tuple[str, ...], float]
HARD = """
국물 값이 문자 문장 신문 갈등 물고기 솜이불 냇가 꽃잎 맏형 값있는 넓죽하다 밟다 밟는 읽고 닭과
여덟 의견란 신라 좋아요 않은 않았다 끓여 많소 굳이 붙이다 희망 주의 의사 회의 전화 학교에서
먹었습니다 있습니다 대통령 독립 국민 십육 학여울 늑막염 송별연 물난리 칼날 한라산 이죽이죽 눈요기
서울역 영업용 담요 직행열차 신바람 강가 발바닥 잠자리 김밥 인기 할것을 갈데가
"""


def spoken(
    units: Sequence[str], config: LexiconConfig | None = None, others: Iterable[str] = ()
) -> Said:
    """Every phone string (without pauses inside) that L accepts for units, with its cost.

    ``others`` are further units of the inventory.
    """
    lexicon = Lexicon([*units, *others], config)
    paths: dict[tuple[State, int, tuple[str, ...]], float] = {(START, 0, ()): 0.0}
    found: Said = {}
    while paths:
        following: dict[tuple[State, int, tuple[str, ...]], float] = {}
        for (state, done, phones), cost in paths.items():
            if done == len(units) and lexicon.is_final(state):
                found[phones] = min(cost, found.get(phones, cost))
            for arc in lexicon.arcs(state):
                step = done + bool(arc.unit)
                if arc.unit and arc.unit not in units[done : done + 1]:
                    continue
                if arc.target.kind == Kind.SILENCE or (done == len(units) and arc.target.first):
                    continue
                more = phones if arc.target.kind == Kind.PENDING else (*phones, arc.target.phone)
                key = (arc.target, step, more)
                following[key] = min(cost + arc.cost, following.get(key, cost + arc.cost))
        paths = following
    return found


def units_of(pieces: str) -> list[str]:
    """'서울-역에 간-다' as units: ▁서울 역에 ▁간 다."""
    cut = [word.split("-") for word in pieces.split()]
    return [
        EOJEOL_MARK + piece if place == 0 else piece
        for word in cut
        for place, piece in enumerate(word)
    ]


def assert_same(found: Said, expected: Said) -> None:
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("text", "phones"),
    [
        ("국물", "g u ng m u l2"),
        ("값이", "g a b2 ss i"),
        ("옷 안", "o d a n2"),
        ("같이", "g a ch i"),
        ("좋다", "j o t a"),
        ("닭", "d a g2"),
        ("신라", "s i l2 l a"),
        ("밥 먹는다", "b a m2 m eo ng n eu n2 d a"),
    ],
)
def test_speaks_the_canonical_form_at_no_cost(text: str, phones: str) -> None:
    assert spoken(text_to_units(text))[tuple(phones.split())] == pytest.approx(0.0)


SYLLABLE = st.builds(compose, st.integers(0, 18), st.integers(0, 20), st.integers(0, 27))
REAL = st.sampled_from(HARD.split())
CONFIGS = (
    LexiconConfig(),
    LexiconConfig(optional_rules=False),
    LexiconConfig(across_spaces=False),
    LexiconConfig(mergers=True, merger_cost=1.5, isolated_cost=0.5),
    LexiconConfig(max_variant_cost=1.0),
)
FEW = settings(max_examples=40, deadline=None, derandomize=True)


def eojeols(most: int) -> st.SearchStrategy[list[str]]:
    word = st.lists(SYLLABLE, min_size=1, max_size=most).map("".join) | REAL
    return st.lists(word, min_size=1, max_size=2)


@FEW
@given(words=eojeols(3), config=st.sampled_from(CONFIGS))
def test_syllables_sound_as_every_pronunciation_of_the_text(
    words: list[str], config: LexiconConfig
) -> None:
    text = " ".join(words)
    assert_same(spoken(text_to_units(text), config), every_pronunciation(text, config=config))


@FEW
@given(words=eojeols(3), config=st.sampled_from(CONFIGS), cuts=st.randoms(use_true_random=False))
def test_any_units_sound_as_every_pronunciation_of_the_text(
    words: list[str], config: LexiconConfig, cuts: object
) -> None:
    """Whatever other units share the beginnings of these in the tree."""
    pieces = " ".join(
        "".join(s + "-" * (i < len(w) - 1 and cuts.random() < 0.4) for i, s in enumerate(w))
        for w in words
    )
    units = units_of(pieces)
    others = [unit + more for unit in units for more in ("가", "이", "니다")]
    others += [EOJEOL_MARK + "문장", EOJEOL_MARK + "문자", "문자"]
    expected = every_pronunciation(" ".join(words), pieces, config)
    assert_same(spoken(units, config, others), expected)


def test_units_that_share_a_beginning_keep_their_own_sounds() -> None:
    """문자 is 문짜 and 문장 문장, though they part only after the vowel."""
    units = ["▁문자", "▁문장", "▁문장부호", "▁문자열"]
    for unit in units:
        said = spoken([unit], others=units)
        canonical = min(said, key=said.__getitem__)
        assert canonical == pronounce(unit[1:])[0].phones
        assert [phones for phones, cost in said.items() if cost == 0.0] == [canonical]


@pytest.mark.parametrize("word", [word for word in HARD.split() if not respellings(word)])
def test_words_as_units_sound_as_the_text_pronouncer_says(word: str) -> None:
    """Nothing that ``pronounce`` finds is missing, and what it puts first comes first."""
    said = spoken([EOJEOL_MARK + word])
    listed = pronounce(word)
    assert min(said, key=said.__getitem__) == listed[0].phones
    assert said[listed[0].phones] == pytest.approx(0.0)
    for pronunciation in listed:
        assert said[pronunciation.phones] <= pronunciation.cost + 0.1 * len(word)


def test_without_optional_rules_there_is_one_way_to_speak() -> None:
    config = LexiconConfig(optional_rules=False)
    for pieces in ("솜-이-불 꽃-잎", "문장 부호", "주-의 회-의 예-의", "전-화 맏-형"):
        (cost,) = spoken(units_of(pieces), config).values()
        assert cost == 0.0


def test_a_space_may_be_kept_apart() -> None:
    apart = LexiconConfig(across_spaces=False)
    assert min(spoken(["▁옷", "▁안"], apart)) == ("o", "d2", "a", "n2")
    assert ("o", "d", "a", "n2") not in spoken(["▁옷", "▁안"], apart)
    assert ("o", "d", "a", "n2") in spoken(["▁옷", "▁안"])


def test_mergers_are_alternatives() -> None:
    assert spoken(["▁개"]) == {("g", "ae"): 0.0}
    merged = spoken(["▁개"], LexiconConfig(mergers=True, merger_cost=1.25))
    assert merged == {("g", "ae"): 0.0, ("g", "e"): 1.25}
    dear = spoken(["▁괴"], LexiconConfig(mergers=True, merger_cost=2.5))
    assert dear["g", "we"] == 1.0  # what the law allows costs no more


@pytest.mark.parametrize("inventory", [None, ["▁가", "▁가나", "가", "나다라", "▁값을", "을", "▁"]])
def test_every_state_leads_on_and_silence_is_reached_only_by_final_codas(
    inventory: list[str] | None,
) -> None:
    lexicon = (
        Lexicon(inventory) if inventory else SyllableLexicon(lambda unit: ord(unit[-1]) % 5 == 0)
    )
    for state in _reach(lexicon):
        arcs = list(lexicon.arcs(state))
        assert arcs, state
        for arc in arcs:
            assert arc.cost >= 0.0
            if arc.unit:
                assert state.kind == Kind.VOWEL
                assert arc.target.tree == OUTSIDE
            if state.kind == Kind.VOWEL:
                assert arc.target.kind == Kind.PENDING
                assert bool(arc.unit) == (arc.target.tree == OUTSIDE)
            if arc.target.phone == SILENCE:
                assert lexicon.is_final(state)


def test_unknown_units_are_left_out() -> None:
    for lexicon in (
        SyllableLexicon({"▁가"}.__contains__),
        Lexicon(["▁가", "<s>", "▁", "", "▁a", "가1"]),
    ):
        assert any(arc.target.kind == Kind.ONSET for arc in lexicon.arcs(START))
        units = {arc.unit for state in _reach(lexicon) for arc in lexicon.arcs(state) if arc.unit}
        assert units == {"▁가"}


def _reach(lexicon: Lexicon) -> set[State]:
    seen, queue = {START}, [START]
    while queue:
        for arc in lexicon.arcs(queue.pop()):
            if arc.target not in seen:
                seen.add(arc.target)
                queue.append(arc.target)
    return seen


def test_a_pause_isolates() -> None:
    for coda in range(28):
        surface, *_ = junction(coda, Boundary.PAUSE, 11, 0)
        assert (surface.coda, surface.onset) == (final_coda(coda), 11)


def test_agrees_with_the_text_pronouncer() -> None:
    for text in ("먹는 밥", "옷이 없다", "굳이", "많은 꽃잎"):
        phones = tuple(pronounce(text)[0].phones)
        said = spoken(text_to_units(text))
        assert phones in said, text
        assert set(phones) <= set(PHONES)


def test_refuses_costs_without_sense() -> None:
    for wrong in ({"silence_cost": -1.0}, {"merger_cost": float("nan")}):
        with pytest.raises(UsageError, match="cost"):
            LexiconConfig(**wrong)
