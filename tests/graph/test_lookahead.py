"""Look-ahead: the best unit below a node or state, found again by walking the graph."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from asr.errors import ModelError
from asr.graph.emissions import EmissionModel
from asr.graph.hcl import HclGraph, compile_hcl
from asr.graph.lexicon import SILENCE, Kind, Lexicon
from asr.graph.lookahead import STEP, lookahead_table, state_ahead, unit_nodes
from asr.graph.nodes import NUM_NODES, ROOT_NODE, onset_node, vowel_node
from asr.hangul.jamo import decompose
from asr.hangul.phones import PHONES
from asr.hmm.phones import Position
from asr.lm.automaton import LmAutomaton, build_automaton
from asr.lm.ngram import NgramModel, NgramOrder
from asr.lm.units import SPECIALS, Vocabulary

UNITS = (
    "▁가", "▁나", "나", "다", "▁문", "▁문자", "▁문장", "▁문장부호", "▁문자열", "문자", "▁나는",
    "▁나다", "습니다", "▁값을", "을", "니다",
)  # fmt: skip
NAMES = (SILENCE, *PHONES)


@pytest.fixture(scope="module")
def lm() -> LmAutomaton:
    rng = np.random.default_rng(3)
    vocabulary = Vocabulary((*SPECIALS, *UNITS))
    size = len(vocabulary)
    logp = -np.abs(rng.normal(5, 2, size)).astype(np.float32)
    order = NgramOrder(
        np.zeros(size, np.int32),
        np.arange(size, dtype=np.uint16),
        logp,
        np.zeros(size, np.float32),
    )
    return build_automaton(NgramModel(vocabulary, (order,)))


@pytest.fixture(scope="module")
def graph(lm: LmAutomaton) -> HclGraph:
    names = [(name, Position.NONE) for name in NAMES]
    table = {(left, phone): (0, 1) for left in names for phone in names}
    emissions = EmissionModel(table, has_positions=False)
    return compile_hcl(Lexicon(UNITS), emissions, lm.vocabulary.ids)


def units_below(graph: HclGraph, state: int) -> Iterator[int]:
    """The units that may be spelled out next, from a state on."""
    for arc in range(graph.arc_begin[state], graph.arc_begin[state + 1]):
        if graph.arc_unit[arc] >= 0:
            yield int(graph.arc_unit[arc])
        else:
            yield from units_below(graph, int(graph.arc_target[arc]))


def test_a_state_knows_the_best_unit_below_it(graph: HclGraph, lm: LmAutomaton) -> None:
    unigram = lm.arc_logp
    nodes = unit_nodes(lm.vocabulary.units)
    ahead = state_ahead(graph, lm)
    deeper = 0
    for state in range(len(graph.kind)):
        if graph.node[state] == ROOT_NODE or graph.first[state]:
            assert ahead[state] == 0.0
            continue
        deeper += 1
        below = set(units_below(graph, state))
        same_start = np.flatnonzero(nodes[:, 2] == graph.node[state])
        assert below <= set(same_start.tolist())
        best = max(unigram[unit] for unit in below)
        assert ahead[state] == pytest.approx(best - unigram[same_start].max(), abs=1e-6)
    assert deeper > 20
    assert ahead.min() < -0.5


def test_states_stand_at_the_first_syllable_of_their_units(
    graph: HclGraph, lm: LmAutomaton
) -> None:
    for state in np.flatnonzero(graph.node != ROOT_NODE).tolist():
        for unit in units_below(graph, state):
            text = lm.vocabulary.units[unit]
            onset, nucleus, _ = decompose(text.removeprefix("▁")[0])
            initial = text.startswith("▁")
            nodes = {onset_node(initial, onset), vowel_node(initial, onset, nucleus)}
            assert graph.node[state] in nodes
            if not graph.first[state]:
                assert graph.node[state] == vowel_node(initial, onset, nucleus)


def test_the_table_holds_the_best_unit_of_a_node(lm: LmAutomaton) -> None:
    words = lm.vocabulary.units
    table = lookahead_table(lm, unit_nodes(words))
    assert table.shape == (len(words) + 1, NUM_NODES)
    best = max(lm.arc_logp[words.index(unit)] for unit in UNITS if unit.startswith("▁문"))
    node = vowel_node(True, *decompose("문")[:2])
    assert table[-1, node] * STEP == pytest.approx(-best, abs=STEP / 2 + 1e-6)


def test_syllables_need_nothing_further(lm: LmAutomaton) -> None:
    names = [(name, Position.NONE) for name in NAMES]
    table = {(left, phone): (0, 1) for left in names for phone in names}
    syllables = [unit for unit in UNITS if len(unit.removeprefix("▁")) == 1]
    emissions = EmissionModel(table, has_positions=False)
    graph = compile_hcl(Lexicon(syllables), emissions, lm.vocabulary.ids)
    assert not state_ahead(graph, lm).any()
    assert np.array_equal(graph.first > 0, np.isin(graph.kind, (Kind.ONSET, Kind.VOWEL)))


def test_inner_pending_states_lead_into_their_unit_only(graph: HclGraph) -> None:
    inner = np.flatnonzero((graph.kind == Kind.PENDING) & (graph.node != ROOT_NODE))
    assert len(inner) > 3
    for state in inner.tolist():
        targets = graph.arc_target[graph.arc_begin[state] : graph.arc_begin[state + 1]]
        assert len(targets) > 0
        assert not graph.final[state]
        assert not np.any(graph.first[targets])
        assert np.all(graph.node[targets] == graph.node[state])
        assert not np.any(graph.kind[targets] == Kind.SILENCE)


def change(graph: HclGraph, name: str, places: np.ndarray, value: int) -> HclGraph:
    tensors = {key: array.copy() for key, array in graph.to_tensors().items()}
    tensors[name][places] = value
    return HclGraph.from_tensors(tensors)


def test_units_that_are_left_or_ended_elsewhere_are_refused(graph: HclGraph) -> None:
    inner = np.flatnonzero((graph.kind == Kind.PENDING) & (graph.node != ROOT_NODE))
    silence = int(np.flatnonzero(graph.kind == Kind.SILENCE)[0])
    changes = {
        "an end within a unit": ("final", inner, 1),
        "a pause within a unit": ("arc_target", graph.arc_begin[inner], silence),
        "an inner state outside": ("node", inner, ROOT_NODE),
        "a first coda": ("first", np.flatnonzero(graph.kind == Kind.CODA), 1),
        "a label on the way": ("arc_unit", graph.arc_begin[inner], 3),
        "a label far below": ("arc_unit", graph.arc_begin[inner], -2),
    }
    for name, places, value in changes.values():
        with pytest.raises(ModelError):
            change(graph, name, places, value)


def test_units_of_another_model_are_refused(graph: HclGraph) -> None:
    fewer = Vocabulary((*SPECIALS, "▁가"))
    order = NgramOrder(
        np.zeros(4, np.int32), np.arange(4, dtype=np.uint16), np.zeros(4, np.float32),
        np.zeros(4, np.float32),
    )  # fmt: skip
    with pytest.raises(ModelError, match="lacks"):
        state_ahead(graph, build_automaton(NgramModel(fewer, (order,))))
