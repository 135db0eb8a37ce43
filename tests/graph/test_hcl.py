"""HCL: positions stay consistent along every path, and the graph has no dead ends."""

from __future__ import annotations

import numpy as np
import pytest

from asr.errors import ModelError
from asr.graph.emissions import OPEN, EmissionModel, positions_after
from asr.graph.hcl import NUM_NODES, HclGraph, compile_hcl, onset_node, vowel_node
from asr.graph.lexicon import SILENCE, Kind, State, SyllableLexicon
from asr.hangul.phones import PHONES
from asr.hmm.phones import Position

UNITS = {"▁가": 0, "▁값": 1, "▁안": 2, "이": 3, "다": 4, "는": 5}
SPEECH = (Position.BEGIN, Position.INTERNAL, Position.END, Position.SINGLETON)
PLACED = [(SILENCE, Position.NONE), *((phone, at) for phone in PHONES for at in SPEECH)]


@pytest.fixture(scope="module")
def graph() -> HclGraph:
    """Every phone in every position has pdfs of its own, whatever is on its left."""
    table = {
        (left, phone): (2 * number, 2 * number + 1)
        for left in PLACED
        for number, phone in enumerate(PLACED)
    }
    return compile_hcl(SyllableLexicon(UNITS.__contains__), EmissionModel(table), UNITS)


def _positions(graph: HclGraph) -> list[Position | None]:
    emitting = [PLACED[pdf // 2][1] for pdf in graph.forward.tolist()]
    return emitting + [None] * (len(graph.kind) - len(emitting))


def test_positions_of_neighbours_fit(graph: HclGraph) -> None:
    follows = {
        Position.NONE: {Position.BEGIN, Position.SINGLETON, Position.NONE},
        Position.BEGIN: {Position.INTERNAL, Position.END},
        Position.INTERNAL: {Position.INTERNAL, Position.END},
        Position.END: {Position.BEGIN, Position.SINGLETON, Position.NONE},
        Position.SINGLETON: {Position.BEGIN, Position.SINGLETON, Position.NONE},
    }
    positions = _positions(graph)
    checked = 0
    for state, position in enumerate(positions):
        if position is None:
            continue
        for target in _emitting_targets(graph, state):
            assert positions[target] in follows[position], (state, target)
            checked += 1
    assert checked > 100


def _emitting_targets(graph: HclGraph, state: int) -> list[int]:
    found = []
    for target in graph.arc_target[graph.arc_begin[state] : graph.arc_begin[state + 1]].tolist():
        if graph.kind[target] == Kind.PENDING:
            found += _emitting_targets(graph, target)
        else:
            found.append(target)
    return found


def test_every_state_is_reached_and_leads_to_an_end(graph: HclGraph) -> None:
    reached, queue = {int(graph.start[0])}, [int(graph.start[0])]
    leads: dict[int, set[int]] = {}
    while queue:
        state = queue.pop()
        for target in graph.arc_target[
            graph.arc_begin[state] : graph.arc_begin[state + 1]
        ].tolist():
            leads.setdefault(target, set()).add(state)
            if target not in reached:
                reached.add(target)
                queue.append(target)
    assert len(reached) == len(graph.kind)
    ends, queue = set(), np.flatnonzero(graph.final).tolist()
    while queue:
        state = queue.pop()
        if state not in ends:
            ends.add(state)
            queue.extend(leads.get(state, ()))
    assert ends == reached


def test_a_syllable_is_never_cut() -> None:
    onset = State(Kind.ONSET, phone="g")
    vowel = State(Kind.VOWEL, phone="a")
    coda = State(Kind.CODA, phone="n2")
    for position in SPEECH:
        inside = positions_after(onset, position, vowel)
        assert inside == ((Position.INTERNAL, Position.END) if position in OPEN else ())
        assert positions_after(vowel, position, coda) == inside


def test_an_eojeol_begins_a_piece() -> None:
    vowel, onset = State(Kind.VOWEL, phone="a"), State(Kind.ONSET, phone="g", initial=True)
    assert positions_after(vowel, Position.INTERNAL, onset) == ()
    assert positions_after(vowel, Position.END, onset) == (Position.BEGIN,)


def test_labels_are_the_units(graph: HclGraph) -> None:
    assert set(graph.arc_unit.tolist()) == {-1, *UNITS.values()}


def test_lookahead_nodes_are_distinct() -> None:
    nodes = [onset_node(initial, o) for initial in (False, True) for o in range(19)]
    nodes += [vowel_node(i, o, v) for i in (False, True) for o in range(19) for v in range(21)]
    assert sorted(nodes) == list(range(1, NUM_NODES))


def test_a_foreign_phone_set_is_refused() -> None:
    with pytest.raises(ModelError, match="phone set"):
        compile_hcl(SyllableLexicon(UNITS.__contains__), EmissionModel({}), UNITS)


def test_units_of_another_kind_are_refused() -> None:
    words = {"학교": 0, "에서": 1}
    table = {(left, phone): (0, 1) for left in PLACED for phone in PLACED}
    with pytest.raises(ModelError, match="train-lm"):
        compile_hcl(SyllableLexicon(words.__contains__), EmissionModel(table), words)
