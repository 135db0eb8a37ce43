"""The beam search finds the path that an exhaustive Viterbi search over L and the LM finds."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from small_lm import random_bigram

from asr.decoder.config import DecoderConfig
from asr.decoder.search import Decoder, Search
from asr.errors import ModelError, UsageError
from asr.graph.emissions import EmissionModel
from asr.graph.hcl import HclGraph, compile_hcl
from asr.graph.lexicon import SILENCE, START, Kind, State, SyllableLexicon
from asr.hangul.phones import PHONES
from asr.hmm.phones import Position
from asr.lm.automaton import LmAutomaton, step

UNITS = ("▁나", "▁값", "▁옷", "▁안", "▁밥", "는", "이", "간", "다")
EXHAUSTIVE = DecoderConfig(beam=1e6, max_active=100_000)
NAMES = (SILENCE, *PHONES)


def pdf(left: str, phone: str) -> int:
    """A context-dependent pdf: vowels differ by whether silence is on the left."""
    return 2 * (NAMES.index(phone) + (len(NAMES) if left == SILENCE else 0))


NUM_PDFS = 4 * len(NAMES)


@pytest.fixture(scope="module")
def lm() -> LmAutomaton:
    return random_bigram(UNITS, 5)


@pytest.fixture(scope="module")
def lexicon() -> SyllableLexicon:
    return SyllableLexicon(UNITS.__contains__)


@pytest.fixture(scope="module")
def graph(lexicon: SyllableLexicon, lm: LmAutomaton) -> HclGraph:
    table = {
        ((left, Position.NONE), (phone, Position.NONE)): (pdf(left, phone), pdf(left, phone) + 1)
        for left in NAMES
        for phone in NAMES
    }
    emissions = EmissionModel(table, has_positions=False)
    return compile_hcl(lexicon, emissions, lm.vocabulary.ids)


@pytest.fixture(scope="module")
def decoder(graph: HclGraph, lm: LmAutomaton) -> Decoder:
    return Decoder(graph, lm)


def random_scores(seed: int, frames: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, (frames, NUM_PDFS)).astype(np.float32)


def viterbi(
    lexicon: SyllableLexicon, lm: LmAutomaton, scores: np.ndarray, config: DecoderConfig
) -> tuple[float, tuple[str, ...]]:
    """The best path by plain dynamic programming, with no beam, tables or look-ahead."""
    tokens: dict[tuple[State, int], tuple[float, tuple[str, ...]]] = {
        (START, lm.start_state): (0.0, ())
    }

    def leave(state: State, lm_state: int, score: float, units: tuple[str, ...]):
        for arc in lexicon.arcs(state):
            value, following, spelled = score - arc.cost, lm_state, units
            if arc.unit:
                following, logp = step(lm, lm_state, lm.vocabulary.ids[arc.unit])
                value += config.lm_scale * logp + config.unit_bonus
                value += config.space_bonus * arc.unit.startswith("▁")
                spelled = (*units, arc.unit)
            if arc.target.kind == Kind.PENDING:
                yield from leave(arc.target, following, value, spelled)
            yield arc.target, following, value, spelled

    for row in scores:
        following: dict[tuple[State, int], tuple[float, tuple[str, ...]]] = defaultdict(
            lambda: (-math.inf, ())
        )
        for (state, lm_state), (score, units) in tokens.items():
            moves = [(state, lm_state, score + row[pdf(state.left, state.phone) + 1], units)]
            moves += [
                (target, after, value + row[pdf(target.left, target.phone)], spelled)
                for target, after, value, spelled in leave(state, lm_state, score, units)
                if target.kind != Kind.PENDING
            ]
            for target, after, value, spelled in moves:
                if value > following[target, after][0]:
                    following[target, after] = (value, spelled)
        tokens = dict(following)
    ends = []
    for (state, lm_state), (score, units) in tokens.items():
        places = [(state, lm_state, score, units)]
        if state.kind == Kind.VOWEL:
            places = list(leave(state, lm_state, score, units))
        for place, after, value, spelled in places:
            if place.kind in (Kind.SILENCE, Kind.CODA, Kind.PENDING) and lexicon.is_final(place):
                if state.kind == Kind.VOWEL and place.kind != Kind.PENDING:
                    continue
                ends.append((value + config.lm_scale * step(lm, after, lm.eos)[1], spelled))
    return max(ends)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("scale", "bonus", "space"), [(1.0, 0.0, 0.0), (0.6, 1.5, 0.7)])
def test_equals_exhaustive_search(
    seed: int,
    scale: float,
    bonus: float,
    space: float,
    decoder: Decoder,
    lexicon: SyllableLexicon,
    lm: LmAutomaton,
) -> None:
    scores = random_scores(seed, 9)
    config = DecoderConfig(
        beam=1e6, max_active=100_000, lm_scale=scale, unit_bonus=bonus, space_bonus=space
    )
    search = decoder.search(config)
    search.advance(scores)
    path = search.best_path()
    score, units = viterbi(lexicon, lm, scores, config)
    assert path.complete
    assert path.score == pytest.approx(score, abs=1e-3)
    assert tuple(unit.unit for unit in path.units) == units


def test_pieces_equal_the_whole(decoder: Decoder) -> None:
    scores = random_scores(11, 60)
    whole, pieces = decoder.search(), decoder.search()
    whole.advance(scores)
    for begin in range(0, 60, 7):
        pieces.advance(scores[begin : begin + 7])
    assert pieces.best_path() == whole.best_path()
    assert pieces.frames == 60


def test_times_are_ordered_and_inside(decoder: Decoder) -> None:
    scores = random_scores(12, 50)
    search = decoder.search(EXHAUSTIVE)
    search.advance(scores)
    units = search.best_path().units
    assert len(units) > 2
    edges = [edge for unit in units for edge in (unit.start, unit.end)]
    assert edges == sorted(edges)
    assert edges[0] >= 0 and edges[-1] <= 50
    assert all(unit.end > unit.start for unit in units)


def peaky_scores(seed: int, frames: int) -> np.ndarray:
    """Scores as networks give them: one pdf stands out for a few frames, then another."""
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 1, (frames, NUM_PDFS))
    for begin in range(0, frames, 3):
        scores[begin : begin + 3, rng.integers(NUM_PDFS, size=4)] += 8.0
    return scores.astype(np.float32)


def searched(decoder: Decoder, scores: np.ndarray, **options: float) -> Search:
    search = decoder.search(DecoderConfig(**options))
    for row in scores:
        search.advance(row[None])
        assert search.active > 0
    return search


@pytest.mark.parametrize("seed", range(8))
def test_a_fair_beam_prunes_and_makes_no_search_errors(seed: int, decoder: Decoder) -> None:
    scores = peaky_scores(seed, 45)
    wide = searched(decoder, scores, beam=1e6, max_active=100_000)
    fair = searched(decoder, scores, beam=25.0)
    assert fair.active < wide.active
    assert fair.best_path().score == pytest.approx(wide.best_path().score, abs=1e-3)


@pytest.mark.parametrize("beam", (0.5, 2.0, 6.0))
def test_a_narrower_beam_is_never_better_and_never_dies(beam: float, decoder: Decoder) -> None:
    for seed in range(5):
        scores = random_scores(seed, 40)
        wide = searched(decoder, scores, beam=1e6, max_active=100_000).best_path()
        narrow = searched(decoder, scores, beam=beam).best_path()
        assert not narrow.complete or narrow.score <= wide.score + 1e-3
        assert narrow.units


def test_beams_and_max_active_bound_the_tokens(decoder: Decoder) -> None:
    scores = random_scores(7, 40)
    all_of_them = searched(decoder, scores, beam=1e6, max_active=100_000).active
    assert searched(decoder, scores, beam=4.0).active < all_of_them / 3
    kept = [searched(decoder, scores, beam=1e6, max_active=most).active for most in (1, 5, 20)]
    assert kept == sorted(kept)
    assert kept[0] < kept[-1] < all_of_them


@pytest.mark.parametrize("config", ({"max_active": 1}, {"max_active": 3, "lm_scale": 0.0}))
def test_moves_that_tie_are_not_all_lost(config: dict[str, float], decoder: Decoder) -> None:
    search = searched(decoder, np.zeros((30, NUM_PDFS), np.float32), **config)
    assert search.active >= 1
    assert search.best_path().score > -math.inf


def test_a_unit_ends_where_the_pause_begins(decoder: Decoder) -> None:
    """▁나 for ten frames, a pause of ten, ▁안 다: the pause belongs to no unit."""
    spoken = [("SIL", "n"), ("n", "a"), ("a", "SIL"), ("SIL", "a"), ("a", "n2"), ("n2", "d"),
              ("d", "a")]  # fmt: skip
    scores = np.full((0, NUM_PDFS), 0, np.float32)
    for (left, phone), frames in zip(spoken, (5, 5, 10, 5, 5, 5, 5), strict=True):
        piece = np.full((frames, NUM_PDFS), -30, np.float32)
        piece[0, pdf(left, phone)] = piece[1:, pdf(left, phone) + 1] = 0.0
        scores = np.concatenate([scores, piece])
    units = searched(decoder, scores, beam=200.0).best_path().units
    assert [(unit.unit, unit.start, unit.end) for unit in units] == [
        ("▁나", 0, 10), ("▁안", 20, 30), ("다", 30, 40)]  # fmt: skip


def test_no_frames_is_an_empty_path(decoder: Decoder) -> None:
    path = decoder.search().best_path()
    assert path.units == ()
    assert path.complete


def test_refuses_scores_that_do_not_fit(decoder: Decoder) -> None:
    with pytest.raises(ModelError, match="shape"):
        decoder.search().advance(np.zeros((3, 5), np.float32))
    bad = random_scores(1, 3)
    bad[1] = np.nan
    with pytest.raises(ModelError, match="finite"):
        decoder.search().advance(bad)


def test_refuses_options_without_sense() -> None:
    nonsense = (
        {"beam": 0.0},
        {"beam": math.nan},
        {"max_active": 0},
        {"max_active": 3.5},
        {"max_active": 10**9},
        {"lm_scale": -1.0},
        {"unit_bonus": math.nan},
        {"space_bonus": math.inf},
    )
    for wrong in nonsense:
        with pytest.raises(UsageError):
            DecoderConfig(**wrong)


def test_graph_survives_the_bundle(graph: HclGraph) -> None:
    tensors = graph.to_tensors()
    again = HclGraph.from_tensors(tensors).to_tensors()
    assert all(np.array_equal(tensors[name], again[name]) for name in tensors)


HOSTILE = {
    "a target outside": ("arc_target", lambda a: a + 10**6),
    "any target": ("arc_target", lambda a: np.roll(a, 1)),
    "pending targets everywhere": ("arc_target", lambda a: np.full_like(a, a.max())),
    "a pdf below zero": ("forward", lambda a: a - 5),
    "a node outside": ("node", lambda a: a + 10**5),
    "labels far below zero": ("arc_unit", lambda a: np.full_like(a, -(2**31) + 1)),
    "no labels": ("arc_unit", lambda a: np.full_like(a, -1)),
    "only vowels": ("kind", lambda a: np.full_like(a, Kind.VOWEL)),
    "only onsets": ("kind", lambda a: np.full_like(a, Kind.ONSET)),
    "unknown kinds": ("kind", lambda a: a + 100),
    "costs that are no numbers": ("arc_cost", lambda a: a * np.nan),
    "another type": ("arc_target", lambda a: a.astype(np.float64)),
    "another shape": ("loop", lambda a: a[:, None]),
    "arcs that begin anywhere": ("arc_begin", lambda a: a[::-1].copy()),
    "no start": ("start", lambda a: a[:0]),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_graphs_are_refused(case: str, graph: HclGraph) -> None:
    name, change = HOSTILE[case]
    tensors = graph.to_tensors()
    with pytest.raises(ModelError):
        HclGraph.from_tensors({**tensors, name: change(tensors[name])})


def test_lookahead_of_another_model_is_refused(graph: HclGraph, lm: LmAutomaton) -> None:
    with pytest.raises(ModelError, match="look-ahead"):
        Decoder(graph, lm, np.zeros((3, 5), np.uint8))


def test_missing_arrays_are_named(graph: HclGraph) -> None:
    tensors = graph.to_tensors()
    with pytest.raises(ModelError, match="lacks loop"):
        HclGraph.from_tensors({name: a for name, a in tensors.items() if name != "loop"})
