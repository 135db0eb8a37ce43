"""The beam search finds the path that an exhaustive Viterbi search over L and the LM finds."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest

from asr.decoder.search import Decoder, DecoderConfig
from asr.errors import ModelError, UsageError
from asr.graph.emissions import EmissionModel
from asr.graph.hcl import HclGraph, compile_hcl
from asr.graph.lexicon import SILENCE, START, Kind, State, SyllableLexicon
from asr.hangul.phones import PHONES
from asr.hmm.phones import Position
from asr.lm.automaton import LmAutomaton, build_automaton, step
from asr.lm.ngram import NgramModel, NgramOrder
from asr.lm.units import SPECIALS, Vocabulary

UNITS = ("▁나", "▁값", "▁옷", "▁안", "▁밥", "는", "이", "간", "다")
EXHAUSTIVE = DecoderConfig(beam=1e6, max_active=100_000)
NAMES = (SILENCE, *PHONES)


def pdf(left: str, phone: str) -> int:
    """A context-dependent pdf: vowels differ by whether silence is on the left."""
    return 2 * (NAMES.index(phone) + (len(NAMES) if left == SILENCE else 0))


NUM_PDFS = 4 * len(NAMES)


@pytest.fixture(scope="module")
def lm() -> LmAutomaton:
    """A random bigram over a dozen units (probabilities need not be normalised for the search)."""
    rng = np.random.default_rng(5)
    vocabulary = Vocabulary((*SPECIALS, *UNITS))
    size = len(vocabulary)
    unigrams = NgramOrder(
        np.zeros(size, np.int32),
        np.arange(size, dtype=np.uint16),
        rng.normal(-2, 1, size).astype(np.float32),
        rng.normal(-0.5, 0.2, size).astype(np.float32),
    )
    pairs = sorted({(int(a), int(b)) for a, b in rng.integers(1, size, (40, 2))})
    bigrams = NgramOrder(
        np.array([a for a, _ in pairs], np.int32),
        np.array([b for _, b in pairs], np.uint16),
        rng.normal(-1, 1, len(pairs)).astype(np.float32),
        np.zeros(len(pairs), np.float32),
    )
    return build_automaton(NgramModel(vocabulary, (unigrams, bigrams)))


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


def test_a_narrower_beam_is_never_better(decoder: Decoder) -> None:
    scores = random_scores(13, 40)
    found = []
    for beam in (2.0, 6.0, 12.0, 1e6):
        search = decoder.search(DecoderConfig(beam=beam, max_active=100_000))
        search.advance(scores)
        path = search.best_path()
        found.append(path.score if path.complete else -math.inf)
    assert all(score <= found[-1] + 1e-3 for score in found)


def test_max_active_bounds_the_tokens(decoder: Decoder) -> None:
    search = decoder.search(DecoderConfig(beam=1e6, max_active=20))
    search.advance(np.zeros((30, NUM_PDFS), np.float32))
    assert search.active <= 6 * 20 + 4096
    assert search.best_path().units is not None


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
    for wrong in ({"beam": 0.0}, {"beam": math.nan}, {"max_active": 0}, {"lm_scale": -1.0}):
        with pytest.raises(UsageError):
            DecoderConfig(**wrong)


def test_graph_survives_the_bundle_and_damage_is_refused(graph: HclGraph) -> None:
    tensors = graph.to_tensors()
    again = HclGraph.from_tensors(tensors)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(tensors.values(), again.to_tensors().values(), strict=True)
    )
    for name, value in (("arc_target", 10**6), ("forward", -5), ("node", 10**5)):
        damaged = {**tensors, name: np.full_like(tensors[name], value)}
        with pytest.raises(ModelError):
            HclGraph.from_tensors(damaged)
    with pytest.raises(ModelError, match="lacks loop"):
        HclGraph.from_tensors({name: a for name, a in tensors.items() if name != "loop"})
