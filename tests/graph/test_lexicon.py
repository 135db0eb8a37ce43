"""The jamo lexicon transducer speaks what 표준발음법 prescribes, across units and spaces."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.graph.lexicon import SILENCE, START, Kind, LexiconConfig, State, SyllableLexicon
from asr.hangul.jamo import compose
from asr.hangul.junction import Boundary, final_coda, junction
from asr.hangul.phones import PHONES
from asr.hangul.pronunciation import pronounce
from asr.lm.units import text_to_units


def spoken(text: str, config: LexiconConfig | None = None) -> dict[tuple[str, ...], float]:
    """Every phone string (without pauses inside) that L accepts for ``text``, with its cost."""
    units = text_to_units(text)
    lexicon = SyllableLexicon(set(units).__contains__, config)
    paths: dict[tuple[State, int, tuple[str, ...]], float] = {(START, 0, ()): 0.0}
    found: dict[tuple[str, ...], float] = {}
    while paths:
        following: dict[tuple[State, int, tuple[str, ...]], float] = {}
        for (state, done, phones), cost in paths.items():
            if done == len(units) and lexicon.is_final(state):
                found[phones] = min(cost, found.get(phones, cost))
            for arc in lexicon.arcs(state):
                if arc.target.kind == Kind.SILENCE:
                    continue
                if arc.unit and (done == len(units) or arc.unit != units[done]):
                    continue
                step = done + bool(arc.unit)
                if arc.target.initial and 0 < step < len(units) and units[step][0] != "▁":
                    continue
                more = phones if arc.target.kind == Kind.PENDING else (*phones, arc.target.phone)
                key = (arc.target, step, more)
                following[key] = min(cost + arc.cost, following.get(key, cost + arc.cost))
        paths = following
    return found


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
    assert spoken(text)[tuple(phones.split())] == pytest.approx(0.0)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(
        st.lists(
            st.builds(compose, st.integers(0, 18), st.integers(0, 20), st.integers(0, 27)),
            min_size=1,
            max_size=2,
        ),
        min_size=1,
        max_size=2,
    )
)
def test_accepts_what_the_junction_table_gives(eojeols: list[list[str]]) -> None:
    text = " ".join("".join(syllables) for syllables in eojeols)
    canonical = min(spoken(text).items(), key=lambda item: item[1])
    assert canonical[1] == pytest.approx(0.0)
    assert canonical[0]
    assert set(canonical[0]) <= set(PHONES)


def test_every_state_leads_on_and_silence_is_reached_only_by_final_codas() -> None:
    lexicon = SyllableLexicon(lambda unit: True)
    seen, queue = {START}, [START]
    while queue:
        state = queue.pop()
        arcs = list(lexicon.arcs(state))
        assert arcs, state
        for arc in arcs:
            assert arc.cost >= 0.0
            assert bool(arc.unit) == (state.kind == Kind.VOWEL)
            if arc.target.phone == SILENCE:
                assert lexicon.is_final(state)
            if arc.target not in seen:
                seen.add(arc.target)
                queue.append(arc.target)


def test_unknown_units_are_left_out() -> None:
    lexicon = SyllableLexicon({"▁가"}.__contains__)
    vowels = [arc.target for arc in lexicon.arcs(START)]
    assert vowels
    units = {arc.unit for state in _reach(lexicon) for arc in lexicon.arcs(state) if arc.unit}
    assert units == {"▁가"}


def _reach(lexicon: SyllableLexicon) -> set[State]:
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
        assert phones in spoken(text), text
