"""Composition of HCL and a small model; tests/decoder compares it with OpenFst's and Kaldi's."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from asr.errors import ModelError
from asr.graph import static_compile
from asr.graph.emissions import EmissionModel
from asr.graph.hcl import HclGraph, compile_hcl
from asr.graph.lexicon import SILENCE, Kind, Lexicon
from asr.graph.static_compile import compile_static
from asr.graph.static_graph import Role, StaticGraph
from asr.hangul.phones import PHONES
from asr.hmm.phones import Position
from asr.lm.automaton import LmAutomaton, build_automaton, score_sentence
from asr.lm.ngram import NgramModel, NgramOrder
from asr.lm.units import SPECIALS, Vocabulary

UNITS = ("▁값", "▁옷", "▁안", "이", "다")


@dataclass(frozen=True)
class Weights:
    """Of the language model, as DecoderConfig has them."""

    lm_scale: float = 1.3
    unit_bonus: float = 0.5
    space_bonus: float = 0.25


@pytest.fixture(scope="module")
def lm() -> LmAutomaton:
    rng = np.random.default_rng(1)
    vocabulary = Vocabulary((*SPECIALS, *UNITS))
    size = len(vocabulary)
    unigrams = NgramOrder(
        np.zeros(size, np.int32),
        np.arange(size, dtype=np.uint16),
        rng.uniform(-3, -1, size).astype(np.float32),
        np.full(size, -5, np.float32),  # so that no listed bigram is better backed off
    )
    pairs = sorted((int(c), int(w)) for c in range(2, size) for w in rng.choice(size, 3, False))
    bigrams = NgramOrder(
        np.array([c for c, _ in pairs], np.int32),
        np.array([w for _, w in pairs], np.uint16),
        rng.uniform(-3, -1, len(pairs)).astype(np.float32),
        np.zeros(len(pairs), np.float32),
    )
    return build_automaton(NgramModel(vocabulary, (unigrams, bigrams)))


@pytest.fixture(scope="module")
def hcl(lm: LmAutomaton) -> HclGraph:
    names = (SILENCE, *PHONES)
    table = {
        ((left, Position.NONE), (phone, Position.NONE)): (2 * number, 2 * number + 1)
        for left in names
        for number, phone in enumerate(names)
    }
    emissions = EmissionModel(table, has_positions=False)
    return compile_hcl(Lexicon(lm.vocabulary.units), emissions, lm.vocabulary.ids)


@pytest.fixture(scope="module")
def graph(hcl: HclGraph, lm: LmAutomaton) -> StaticGraph:
    return compile_static(hcl, lm, Weights())


def cheapest(arrays: HclGraph | StaticGraph, start: int, ends: np.ndarray, text: list[int]):
    """The cost of the cheapest path that says ``text``, whatever it sounds like (Bellman-Ford)."""
    states = len(ends)
    source = np.repeat(np.arange(states), np.diff(arrays.arc_begin))
    cost = np.full(states, np.inf)
    cost[start] = 0.0
    silent = arrays.arc_unit < 0
    for unit in [*text, None]:
        for _ in range(states):
            better = cost.copy()
            np.minimum.at(
                better, arrays.arc_target[silent], cost[source[silent]] + arrays.arc_cost[silent]
            )
            if np.array_equal(better, cost):
                break
            cost = better
        if unit is not None:
            said = arrays.arc_unit == unit
            after = np.full(states, np.inf)
            np.minimum.at(
                after, arrays.arc_target[said], cost[source[said]] + arrays.arc_cost[said]
            )
            cost = after
    return float((cost + ends).min())


@pytest.mark.parametrize("seed", range(10))
def test_a_path_costs_what_its_parts_cost(
    seed: int, graph: StaticGraph, hcl: HclGraph, lm: LmAutomaton
) -> None:
    rng = np.random.default_rng(seed)
    text = rng.integers(len(SPECIALS), len(lm.vocabulary), int(rng.integers(0, 6))).tolist()
    ends = np.where(hcl.final > 0, 0.0, np.inf)
    weights = Weights()
    opens = sum(lm.vocabulary.units[unit].startswith("▁") for unit in text)
    expected = cheapest(hcl, int(hcl.start[0]), ends, text)
    expected -= weights.lm_scale * score_sentence(lm, text)
    expected -= weights.unit_bonus * len(text) + weights.space_bonus * opens
    found = cheapest(graph, graph.start, graph.final_cost, text)
    assert found == pytest.approx(expected, abs=1e-3)


def test_every_state_is_reached_and_leads_to_an_end(graph: StaticGraph) -> None:
    graph.validate()
    source = np.repeat(np.arange(graph.states), np.diff(graph.arc_begin))
    reached = np.zeros(graph.states, bool)
    reached[graph.start] = True
    ending = np.isfinite(graph.final_cost)
    for _ in range(graph.states):
        reached[graph.arc_target[reached[source]]] = True
        ending[source[ending[graph.arc_target]]] = True
    assert reached.all()
    assert ending.all()


def test_arcs_are_sorted_for_the_search(graph: StaticGraph) -> None:
    takes_none = graph.arc_target >= graph.emitting
    for state in range(graph.states):
        arcs = slice(int(graph.arc_begin[state]), int(graph.arc_begin[state + 1]))
        order = list(zip(takes_none[arcs].tolist(), graph.arc_cost[arcs].tolist(), strict=True))
        assert order == sorted(order)


def test_roles_tell_pauses_and_units(graph: StaticGraph, hcl: HclGraph) -> None:
    silence = set(hcl.forward[hcl.kind[: len(hcl.forward)] == Kind.SILENCE].tolist())
    assert graph.role is not None
    pauses = graph.role[: graph.emitting] == Role.PAUSE
    assert set(graph.forward[pauses].tolist()) == silence
    source = np.repeat(np.arange(graph.states), np.diff(graph.arc_begin))
    labelled = graph.arc_unit >= 0
    assert (graph.role[source[labelled]] == Role.SPELLING).all()
    assert (graph.role[graph.arc_target[labelled]] == Role.BETWEEN).all()


def test_other_units_are_refused(hcl: HclGraph, lm: LmAutomaton) -> None:
    unknown = replace(hcl, arc_unit=hcl.arc_unit + (hcl.arc_unit >= 0) * 100)
    with pytest.raises(ModelError, match="units"):
        compile_static(unknown, lm, Weights())


def test_a_graph_that_grows_too_large_is_refused(
    hcl: HclGraph, lm: LmAutomaton, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(static_compile, "MOST_ARCS", 50)
    with pytest.raises(ModelError, match="prune"):
        compile_static(hcl, lm, Weights())


def test_units_that_leak_are_refused(hcl: HclGraph, lm: LmAutomaton) -> None:
    unit = hcl.arc_unit.copy()
    unit[np.flatnonzero(unit >= 0)[0]] = -1
    with pytest.raises(ModelError, match="no lexicon"):
        compile_static(replace(hcl, arc_unit=unit), lm, Weights())


HOSTILE = {
    "a target outside": ("arc_target", lambda a: a + 10**6),
    "loops without frames": ("arc_target", lambda a: np.full_like(a, a.max())),
    "a pdf below zero": ("forward", lambda a: a - 500),
    "a pdf beyond all": ("loop", lambda a: a + (1 << 21)),
    "labels below −1": ("arc_unit", lambda a: a - 5),
    "labels without units": ("arc_unit", lambda a: a + 10**6),
    "costs that are no numbers": ("arc_cost", lambda a: a * np.nan),
    "ends that are no numbers": ("final_cost", lambda a: a * np.nan),
    "loops that cost everything": ("loop_cost", lambda a: a + np.inf),
    "unknown roles": ("role", lambda a: a + 9),
    "another type": ("arc_target", lambda a: a.astype(np.int64)),
    "another shape": ("loop", lambda a: a[:, None]),
    "arcs that begin anywhere": ("arc_begin", lambda a: a[::-1].copy()),
    "a start outside": ("start", lambda a: 10**9),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_graphs_are_refused(case: str, graph: StaticGraph) -> None:
    name, change = HOSTILE[case]
    with pytest.raises(ModelError, match="fit together"):
        replace(graph, **{name: change(getattr(graph, name))}).validate()
