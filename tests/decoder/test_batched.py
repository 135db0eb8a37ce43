"""The batched search finds the paths that an exhaustive search finds, whatever shares the batch."""

from __future__ import annotations

import math
from dataclasses import replace

import kaldifst
import numpy as np
import pytest
import torch

from asr.decoder.batched import BatchedDecoder
from asr.decoder.batched_records import UnitRecords
from asr.decoder.batched_steps import Tokens, best_of_each, lane_best, pruned
from asr.decoder.config import DecoderConfig
from asr.decoder.path import BestPath
from asr.decoder.static_search import StaticDecoder
from asr.errors import ModelError, UsageError
from asr.graph.static_graph import Role, StaticGraph

PDFS = 12
UNITS = tuple(f"▁{letter}" for letter in "가나다라마바사아")
EXHAUSTIVE = DecoderConfig(beam=1e6, max_active=100_000)
DEVICES = [
    "cpu",
    pytest.param(
        "cuda",
        marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU"),
    ),
]


def random_graph(seed: int, emitting: int = 12, inner: int = 9, finals: int = 3) -> StaticGraph:
    """A graph of random arcs: empty chains of any depth, units anywhere, costs of either sign."""
    rng = np.random.default_rng(seed)
    arcs: list[tuple[int, int]] = []
    for source in range(emitting + inner):
        first = 0 if source < emitting else source + 1
        targets = [t for t in range(emitting + inner) if t < emitting or t >= max(first, emitting)]
        chosen = rng.choice(targets, size=min(len(targets), int(rng.integers(1, 5))), replace=False)
        arcs += [(source, int(target)) for target in sorted(chosen)]
    states = emitting + inner
    sources = np.array([source for source, _ in arcs])
    final = np.full(states, np.inf, np.float32)
    ends = rng.choice(states, size=finals, replace=False)
    final[ends] = rng.normal(0, 1, finals)
    unit = np.where(rng.random(len(arcs)) < 0.5, rng.integers(0, len(UNITS), len(arcs)), -1)
    return StaticGraph(
        forward=rng.integers(0, PDFS, emitting).astype(np.int32),
        loop=rng.integers(0, PDFS, emitting).astype(np.int32),
        loop_cost=rng.normal(0, 1, emitting).astype(np.float32),
        arc_begin=np.searchsorted(sources, np.arange(states + 1)).astype(np.int64),
        arc_target=np.array([target for _, target in arcs], np.int32),
        arc_cost=rng.normal(0.5, 1, len(arcs)).astype(np.float32),
        arc_unit=unit.astype(np.int32),
        final_cost=final,
        start=0,
        units=UNITS,
    )


def random_scores(seed: int, batch: int, frames: int) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(0, 2, (batch, frames, PDFS)).astype(np.float32))


def shortest_path(graph: StaticGraph, scores: np.ndarray) -> tuple[float, list[tuple[str, int]]]:
    """Score and units (with the frame in which each begins) of the best path as OpenFst finds it.

    The graph is unrolled over the frames: a state for each of its states at each time. Without
    roles, a unit begins where an arc leads from a non-emitting to an emitting state.
    """
    frames = len(scores)
    fst = kaldifst.StdVectorFst()
    for _ in range((frames + 1) * graph.states):
        fst.add_state()
    fst.start = graph.start
    events = [(-1, -1)]  # by label: unit, and the frame in which the next one begins

    def add(time: int, source: int, later: int, target: int, cost: float, unit: int) -> None:
        begins = source >= graph.emitting > target
        events.append((int(unit), time if begins else -1))
        label = len(events) - 1
        arc = kaldifst.StdArc(label, label, float(cost), later * graph.states + target)
        fst.add_arc(time * graph.states + source, arc)

    for time in range(frames + 1):
        for source in range(graph.states):
            for arc in range(graph.arc_begin[source], graph.arc_begin[source + 1]):
                target, cost, unit = graph.arc_target[arc], graph.arc_cost[arc], graph.arc_unit[arc]
                if target >= graph.emitting:
                    add(time, source, time, target, cost, unit)
                elif time < frames:
                    frame_score = scores[time, graph.forward[target]]
                    add(time, source, time + 1, target, cost - frame_score, unit)
            if source < graph.emitting and time < frames:
                cost = graph.loop_cost[source] - scores[time, graph.loop[source]]
                add(time, source, time + 1, source, cost, -1)
    for state in np.flatnonzero(np.isfinite(graph.final_cost)).tolist():
        fst.set_final(frames * graph.states + state, float(graph.final_cost[state]))
    best = kaldifst.shortest_path(fst)
    if best.start < 0:
        return -math.inf, []
    state, score, begin, said = best.start, 0.0, 0, []
    while arcs := list(kaldifst.ArcIterator(best, state)):
        unit, begins = events[arcs[0].ilabel]
        score -= float(arcs[0].weight.value)
        if unit >= 0:
            said.append((UNITS[unit], begin))
        begin = begins if begins >= 0 else begin
        state = arcs[0].nextstate
    return score - float(best.final(state).value), said


def spoken(path: BestPath) -> list[tuple[str, int]]:
    return [(unit.unit, unit.start) for unit in path.units]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("seed", range(12))
def test_equals_openfst_shortest_path(seed: int, device: str) -> None:
    graph = random_graph(seed)
    scores, lengths = random_scores(seed, 3, 9), torch.tensor([9, 4, 1])
    paths = BatchedDecoder(graph, device).decode(scores, lengths, EXHAUSTIVE)
    for path, matrix, length in zip(paths, scores.numpy(), lengths.tolist(), strict=True):
        score, said = shortest_path(graph, matrix[:length])
        assert path.complete == math.isfinite(score)
        if path.complete:
            assert path.score == pytest.approx(score, abs=1e-4)
            assert spoken(path) == said
            assert not path.units or path.units[-1].end == length


def longer_case(seed: int) -> tuple[StaticGraph, torch.Tensor, torch.Tensor]:
    """A graph on which beams prune, 16 utterances and their lengths."""
    rng = np.random.default_rng(seed)
    graph = random_graph(seed, emitting=150, inner=60, finals=40)
    lengths = torch.from_numpy(rng.integers(0, 40, 16))
    lengths[3], lengths[7] = 40, 0
    return graph, random_scores(seed, 16, 40), lengths


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("options", [{"beam": 4.0}, {"beam": 50.0, "max_active": 20}])
def test_neighbours_and_padding_change_nothing(options: dict[str, float], device: str) -> None:
    graph, scores, lengths = longer_case(1)
    config = DecoderConfig(**options)
    decoder = BatchedDecoder(graph, device)
    together = decoder.decode(scores, lengths, config)
    for lane, (length, path) in enumerate(zip(lengths.tolist(), together, strict=True)):
        assert decoder.decode(scores[lane : lane + 1, :length], None, config) == [path]
    noise = scores.clone()
    for lane, length in enumerate(lengths.tolist()):
        noise[lane, length:] = torch.nan
    order = torch.tensor([5, 3, 15, 0, 7])
    wide = torch.nn.functional.pad(noise[order], (0, 0, 0, 9), value=torch.inf)
    again = decoder.decode(wide, lengths[order], config)
    assert again == [together[lane] for lane in order.tolist()]


def plain_beam_search(graph: StaticGraph, scores: np.ndarray, config: DecoderConfig) -> float:
    """The best complete score by the definition of the beams, token by token; −∞ if none is."""

    def closed(tokens: dict[int, float], cutoff: float) -> dict[int, float]:
        reached = dict(tokens)
        for source in [*sorted(tokens), *range(graph.emitting, graph.states)]:
            for arc in range(graph.arc_begin[source], graph.arc_begin[source + 1]):
                target = int(graph.arc_target[arc])
                score = reached.get(source, -math.inf) - graph.arc_cost[arc]
                if target >= graph.emitting and score >= cutoff:
                    reached[target] = max(score, reached.get(target, -math.inf))
        return reached

    def survivors(tokens: dict[int, float]) -> tuple[dict[int, float], float]:
        ranked = sorted(tokens.values(), reverse=True)
        cutoff = ranked[0] - config.beam
        if len(ranked) > config.max_active:
            cutoff = max(cutoff, ranked[config.max_active - 1])
        return {state: score for state, score in tokens.items() if score >= cutoff}, cutoff

    tokens = {graph.start: 0.0}
    for row in scores:
        after: dict[int, float] = {}
        for source, score in closed(*survivors(tokens)).items():
            moves = [
                (int(graph.arc_target[arc]), graph.arc_cost[arc])
                for arc in range(graph.arc_begin[source], graph.arc_begin[source + 1])
                if graph.arc_target[arc] < graph.emitting
            ]
            ways = [(t, score - cost + row[graph.forward[t]]) for t, cost in moves]
            if source < graph.emitting:
                stay = score - graph.loop_cost[source] + row[graph.loop[source]]
                ways.append((source, stay))
            for target, value in ways:
                after[target] = max(value, after.get(target, -math.inf))
        best = max(after.values())
        tokens = {state: score for state, score in after.items() if score > best - config.beam}
    ends = closed(*survivors(tokens))
    return max(score - graph.final_cost[state] for state, score in ends.items())


@pytest.mark.parametrize(
    "options", [{"beam": 1.0}, {"beam": 4.0}, {"beam": 8.0, "max_active": 30}, {"max_active": 3}]
)
def test_prunes_as_defined(options: dict[str, float]) -> None:
    graph, scores, lengths = longer_case(2)
    config = DecoderConfig(**options)
    paths = BatchedDecoder(graph).decode(scores, lengths, config)
    wanted = [
        plain_beam_search(graph, matrix[:length], config)
        for matrix, length in zip(scores.numpy(), lengths.tolist(), strict=True)
    ]
    exhaustive = BatchedDecoder(graph).decode(scores, lengths, EXHAUSTIVE)
    complete = [path.score if path.complete else -math.inf for path in paths]
    assert complete == pytest.approx(wanted, abs=1e-3)
    lost = [a.score < b.score - 1e-2 for a, b in zip(paths, exhaustive, strict=True)]
    assert any(lost)  # else the beams were too wide to test anything


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("options", [{"beam": 3.0}, {"beam": 9.0}, {"beam": 9.0, "max_active": 25}])
@pytest.mark.parametrize("seed", range(3))
def test_equals_the_static_search(seed: int, options: dict[str, float], device: str) -> None:
    """Units, times (with pauses) and scores of the search of one utterance at the same beams."""
    graph, scores, lengths = longer_case(seed)
    role = np.random.default_rng(seed).integers(0, len(Role), graph.states).astype(np.uint8)
    graph = replace(graph, role=role)
    config = DecoderConfig(**options, lattice_beam=0.0)
    paths = BatchedDecoder(graph, device).decode(scores, lengths, config)
    decoder = StaticDecoder(graph)
    for matrix, length, path in zip(scores.numpy(), lengths.tolist(), paths, strict=True):
        search = decoder.search(config)
        search.advance(matrix[:length])
        expected = search.best_path()
        assert (path.units, path.complete) == (expected.units, expected.complete)
        assert path.score == pytest.approx(expected.score, abs=1e-4)
    assert any(path.units for path in paths)


def test_half_precision_scores() -> None:
    graph, scores, lengths = longer_case(3)
    for dtype in (torch.bfloat16, torch.float16):
        rounded = scores.to(dtype)
        paths = BatchedDecoder(graph).decode(rounded, lengths)
        assert paths == BatchedDecoder(graph).decode(rounded.float(), lengths)


def test_an_utterance_that_cannot_end_has_its_best_unfinished_path() -> None:
    graph, scores, lengths = longer_case(4)
    endless = replace(graph, final_cost=np.full_like(graph.final_cost, np.inf))
    for path in BatchedDecoder(endless).decode(scores, lengths, DecoderConfig(beam=6.0)):
        assert not path.complete
        assert math.isfinite(path.score)


def test_large_batches_are_searched_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, scores, lengths = longer_case(5)
    whole = BatchedDecoder(graph).decode(scores, lengths)
    monkeypatch.setattr("asr.decoder.batched.KEYS", 5 * graph.states)
    assert BatchedDecoder(graph).decode(scores, lengths) == whole


def test_forgotten_records_change_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, scores, lengths = longer_case(6)
    whole = BatchedDecoder(graph).decode(scores, lengths)
    monkeypatch.setattr("asr.decoder.batched.UnitRecords", lambda d: UnitRecords(d, room=16))
    assert BatchedDecoder(graph).decode(scores, lengths) == whole


def test_records_keep_only_what_is_alive() -> None:
    records = UnitRecords(torch.device("cpu"), room=4)
    last = torch.tensor([-1], dtype=torch.int32)
    for frame in range(1000):
        units = torch.arange(3, dtype=torch.int32)
        last = records.add(last.expand(3), units, frame)[:1]  # two of three die at once
        if records.crowded:
            last = records.compact(last)
    assert records.made < 2200
    assert records.trace(torch.cat([last, -torch.ones_like(last)])) == [
        [(0, frame) for frame in range(1000)], []]  # fmt: skip


def test_best_of_each_key_even_of_the_largest() -> None:
    key = torch.tensor([5, 2**32 - 1, 5, 2**31, 2**32 - 1, 5])
    score = torch.tensor([-1.5, -0.0, 2.0, -torch.inf, 0.0, 2.0])
    assert sorted(best_of_each(key, score).tolist()) == [1, 2, 3]


@pytest.mark.parametrize("cells", [None, 1, 32])
def test_best_of_each_lane(cells: int | None) -> None:
    rng = np.random.default_rng(2)
    lane = torch.from_numpy(rng.integers(0, 4, 500).astype(np.int32))
    score = torch.from_numpy(rng.normal(size=500).astype(np.float32))
    found = lane_best(score, lane, 5, cells)
    expected = [float(score[lane == number].max()) for number in range(4)]
    assert found.tolist() == [*expected, -math.inf]


def test_each_lane_is_pruned_by_itself() -> None:
    lane = torch.tensor([2, 0, 2, 2, 2], dtype=torch.int32)
    score = torch.tensor([-3.0, -7.0, 0.0, -1.0, -2.0])
    tokens = Tokens(lane, lane, score, lane, lane, lane)
    for most, left, worst in ((4, 5, -10.0), (3, 4, -2.0), (1, 2, 0.0)):
        kept, cutoff = pruned(tokens, 3, 10.0, most)
        assert len(kept.lane) == left
        assert cutoff.tolist() == [-10.0, -10.0, worst]


def test_refuses_scores_that_do_not_fit() -> None:
    graph, scores, lengths = longer_case(1)
    decoder = BatchedDecoder(graph)
    for wrong in (scores[0], scores.long(), scores.double()):
        with pytest.raises(UsageError, match="scores"):
            decoder.decode(wrong)
    for bad_lengths in (lengths[:3], lengths - 1, lengths + 1):
        with pytest.raises(UsageError, match="lengths"):
            decoder.decode(scores, bad_lengths)
    with pytest.raises(ModelError, match="shape"):
        decoder.decode(scores[:, :, :3], lengths)
    scores[3, 39, 2] = torch.inf
    with pytest.raises(ModelError, match="finite"):
        decoder.decode(scores, lengths)


HOSTILE = {
    "a target outside": ("arc_target", lambda a: a + 10**6),
    "empty arcs that lead back": ("arc_target", lambda a: np.full_like(a, 150)),
    "a pdf below zero": ("forward", lambda a: a - 50),
    "unknown units": ("arc_unit", lambda a: a + 100),
    "costs that are no numbers": ("arc_cost", lambda a: a * np.nan),
    "arcs that begin anywhere": ("arc_begin", lambda a: a[::-1].copy()),
    "fewer loops": ("loop", lambda a: a[1:]),
    "final costs that are no numbers": ("final_cost", lambda a: a * np.nan),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_graphs_are_refused(case: str) -> None:
    name, change = HOSTILE[case]
    graph = longer_case(1)[0]
    with pytest.raises(ModelError, match="compile it again"):
        BatchedDecoder(replace(graph, **{name: change(getattr(graph, name))}))
