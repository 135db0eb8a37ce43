"""Context and topology against brute force: phone strings written out as HMM states."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest

from asr.errors import ModelError
from asr.graph.context import NO_LOOP
from asr.graph.emissions import (
    EmissionModel,
    Emissions,
    HmmState,
    PhoneAt,
    PhoneModels,
    positions_after,
)
from asr.graph.hcl import HclGraph, compile_hcl
from asr.graph.lexicon import SILENCE, START, Kind, Lexicon, State
from asr.hangul.phones import NUCLEUS_PHONES, PHONES
from asr.hmm.phones import Position

UNITS = {"▁가": 0, "▁가나": 1, "나": 2, "▁안": 3, "이": 4}
USED = ("g", "n", "ch", "gg", "j", "a", "i", "n2", "m2", "ng", "g2")
"""Phones of these units, and some that they never have."""
PAUSE = (SILENCE, Position.NONE)
SPEECH = (Position.BEGIN, Position.INTERNAL, Position.END, Position.SINGLETON)
Path = tuple[tuple[HmmState | str, ...], int]
"""HMM states and units in the order in which they come."""


def near(phone: PhoneAt) -> str:
    """What a question of a context tree could tell of a neighbour."""
    return "SIL" if phone == PAUSE else "V" if phone[0] in NUCLEUS_PHONES else "C"


def models(length: int, *, has_positions: bool = False, is_right_known: bool = True) -> PhoneModels:
    """Triphones (or left biphones) with costs of their own; pauses have no context.

    Vowels share pdfs over all right neighbours but pauses, in their last state.
    """
    placed = [(phone, at) for phone in USED for at in (SPEECH if has_positions else PAUSE[1:])]
    everything = [PAUSE, *placed]
    rights: list[PhoneAt | None] = [*everything] if is_right_known else [None]
    numbers: dict[tuple[object, ...], int] = {}
    table = {}
    for phone in everything:
        for left in everything:
            for right in rights:
                after = near(right) if right and phone != PAUSE else ""
                if phone[0] in NUCLEUS_PHONES and after == "C":
                    after = "V"
                before = near(left) if phone != PAUSE else ""
                states = []
                for number in range(length):
                    ends = (before if number == 0 else "", after if number == length - 1 else "")
                    pdf = numbers.setdefault((phone, number, ends), len(numbers))
                    cost = 0.25 + 0.125 * (pdf % 7)
                    states.append(HmmState(pdf, pdf, cost, 0.5 * cost))
                table[left, phone, right] = tuple(states)
    return PhoneModels(table, has_positions)


def phone_strings(
    lexicon: Lexicon, emissions: Emissions, most: int
) -> Iterator[tuple[list[PhoneAt | str], float]]:
    """Phones with their positions, and units between them, of all utterances in L, with costs."""

    def walk(
        state: State, position: Position, said: list[PhoneAt | str], count: int, cost: float
    ) -> Iterator[tuple[list[PhoneAt | str], float]]:
        is_open = position in (Position.BEGIN, Position.INTERNAL)
        if lexicon.is_final(state) and not is_open:
            yield said, cost
        for arc in lexicon.arcs(state):
            label = [arc.unit] if arc.unit else []
            target = arc.target
            if target.kind == Kind.PENDING:
                yield from walk(target, position, said + label, count, cost + arc.cost)
            elif count < most:
                places = (Position.NONE,)
                if emissions.has_positions:
                    places = positions_after(state, position, target)
                for at in places:
                    more = [*said, *label, (target.phone, at)]
                    yield from walk(target, at, more, count + 1, cost + arc.cost)

    yield from walk(START, Position.NONE, [], 0, 0.0)
    yield from walk(START._replace(left=""), Position.NONE, [PAUSE], 1, 0.0)


def expected_paths(lexicon: Lexicon, emissions: Emissions, most: int) -> dict[tuple, float]:
    """Each utterance's HMM states and units, written out phone by phone."""
    is_right_known = bool(emissions.rights)
    found: dict[tuple, float] = defaultdict(lambda: np.inf)
    for said, cost in phone_strings(lexicon, emissions, most):
        phones = [item for item in said if not isinstance(item, str)]
        around = [PAUSE, *phones, PAUSE]
        path: list[HmmState | str] = []
        place = 0
        for item in said:
            if isinstance(item, str):
                path.append(item)
                continue
            right = around[place + 2] if is_right_known else None
            states = emissions.states(around[place], item, right)
            path += states
            cost += sum(state.forward_cost for state in states)
            place += 1
        key = tuple(item if isinstance(item, str) else item[:3] for item in path)
        found[key] = min(found[key], round(cost, 4))
    return dict(found)


def graph_paths(graph: HclGraph, most: int) -> dict[tuple, float]:
    """The same of a compiled graph; ``most`` HMM states at most, the start's not counted."""
    names = {number: unit for unit, number in UNITS.items()}
    found: dict[tuple, float] = defaultdict(lambda: np.inf)
    todo: list[tuple[int, tuple, int, float]] = [(int(graph.start[0]), (), 0, 0.0)]
    while todo:
        state, path, count, cost = todo.pop()
        if graph.final[state]:
            found[path] = min(found[path], round(cost, 4))
        for arc in range(graph.arc_begin[state], graph.arc_begin[state + 1]):
            target, unit = int(graph.arc_target[arc]), int(graph.arc_unit[arc])
            more = path if unit < 0 else (*path, names[unit])
            total = cost + float(graph.arc_cost[arc])
            if target >= len(graph.forward):
                todo.append((target, more, count, total))
            elif count < most:
                emission = (
                    int(graph.forward[target]),
                    int(graph.loop[target]),
                    float(graph.loop_cost[target]),
                )
                todo.append((target, (*more, emission), count + 1, total))
    return dict(found)


CASES = {
    "triphones of three states": ({"length": 3}, 7),
    "triphones of one state": ({"length": 1}, 7),
    "left biphones of three states": ({"length": 3, "is_right_known": False}, 7),
    "triphones with positions": ({"length": 2, "has_positions": True}, 6),
}


@pytest.mark.parametrize("case", CASES)
def test_accepts_the_hmm_states_of_all_phone_strings_and_no_others(case: str) -> None:
    options, most = CASES[case]
    emissions = models(**options)
    lexicon = Lexicon(UNITS)
    graph = compile_hcl(lexicon, emissions, UNITS)
    graph.validate()
    found = graph_paths(graph, most * options["length"])
    expected = expected_paths(lexicon, emissions, most)
    assert len(expected) > 300
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, abs=1e-3)


def test_chain_models_without_costs_begin_in_a_pause_that_lasts() -> None:
    table = {(left, phone): (1, 2) for left in [PAUSE, *SOUNDS] for phone in [PAUSE, *SOUNDS]}
    graph = compile_hcl(Lexicon(UNITS), EmissionModel(table, has_positions=False), UNITS)
    start = int(graph.start[0])
    assert (graph.kind[start], graph.loop[start], graph.loop_cost[start]) == (Kind.SILENCE, 2, 0.0)


SOUNDS = [(phone, Position.NONE) for phone in USED]


def test_other_models_begin_before_their_first_state() -> None:
    graph = compile_hcl(Lexicon(UNITS), models(3), UNITS)
    start = int(graph.start[0])
    assert graph.loop_cost[start] == NO_LOOP
    assert start not in graph.arc_target


def test_kinds_of_hmm_states_are_what_the_search_expects() -> None:
    """Only a vowel's last state is a vowel: from there alone a unit is spelled out."""
    graph = compile_hcl(Lexicon(UNITS), models(3), UNITS)
    vowels = {PHONES.index(phone) for phone in NUCLEUS_PHONES}
    of_vowels = np.isin(graph.phone, list(vowels))
    is_last = graph.kind[: len(graph.forward)] == Kind.VOWEL
    assert not np.any(is_last & ~of_vowels)
    assert np.sum(of_vowels) == 3 * np.sum(is_last)
    assert set(graph.kind[:-1][: len(of_vowels)][of_vowels & ~is_last]) == {Kind.ONSET}


def test_a_triphone_that_the_model_lacks_is_named() -> None:
    full = models(1)
    table = {key: states for key, states in full.table.items() if key[1][0] != "a"}
    with pytest.raises(ModelError, match="phone a"):
        compile_hcl(Lexicon(UNITS), PhoneModels(table, has_positions=False), UNITS)
