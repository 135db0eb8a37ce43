"""Forced alignment finds the path that an exhaustive Viterbi search finds, and its times."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
import pytest

from asr.decoder.align import AlignConfig, AlignedPath, Aligner, Role, align_units, linear_steps
from asr.decoder.align_graph import Step
from asr.decoder.config import DecoderConfig
from asr.decoder.search import Decoder
from asr.errors import DataError, ModelError, UsageError
from asr.graph.emissions import EmissionModel, HmmState, PhoneModels
from asr.graph.hcl import HclGraph, compile_hcl
from asr.graph.lexicon import SILENCE, Kind, Lexicon
from asr.hangul.phones import PHONES
from asr.hmm.phones import Position
from asr.lm.automaton import LmAutomaton, build_automaton
from asr.lm.ngram import NgramModel, NgramOrder
from asr.lm.units import SPECIALS, Vocabulary

SYLLABLES = ("▁나", "▁값", "▁옷", "▁안", "▁밥", "▁이", "는", "이", "간", "다", "안", "값")
PIECES = ("▁나", "▁나는", "▁값", "▁값이", "▁국물", "▁안", "는", "이", "물", "다", "간다", "안")
NAMES = (SILENCE, *PHONES)
NO_POSITION = Position.NONE
NUM_PDFS = 6 * len(NAMES)


def pdf(left: str, phone: str) -> int:
    """A context-dependent pdf: phones differ by whether silence is on the left."""
    return 2 * (NAMES.index(phone) + (len(NAMES) if left == SILENCE else 0))


def vocabulary(units: Iterable[str]) -> dict[str, int]:
    return {unit: number for number, unit in enumerate((*SPECIALS, *units))}


@pytest.fixture(scope="module")
def chain() -> HclGraph:
    """Syllables; one HMM state a phone."""
    table = {
        ((left, NO_POSITION), (phone, NO_POSITION)): (pdf(left, phone), pdf(left, phone) + 1)
        for left in NAMES
        for phone in NAMES
    }
    emissions = EmissionModel(table, has_positions=False)
    return compile_hcl(Lexicon(SYLLABLES), emissions, vocabulary(SYLLABLES))


@pytest.fixture(scope="module")
def classical() -> HclGraph:
    """Units of several syllables; three HMM states a phone, whose loops cost something."""
    table = {}
    for number, phone in enumerate(NAMES):
        states = tuple(HmmState(6 * number + k, 6 * number + k, 0.3, 0.6 + k) for k in range(3))
        for left in NAMES:
            table[(left, NO_POSITION), (phone, NO_POSITION), None] = states
    models = PhoneModels(table, has_positions=False)
    return compile_hcl(Lexicon(PIECES), models, vocabulary(PIECES))


def random_scores(seed: int, frames: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, (frames, NUM_PDFS)).astype(np.float32)


def exhaustive(graph: HclGraph, steps: list[Step], scores: np.ndarray) -> tuple[float, list[int]]:
    """Score and states (a frame each) of the best path, by plain dynamic programming."""
    last = max((step.target for step in steps), default=0)

    def leave(state: int, place: int, score: float):
        for arc in range(graph.arc_begin[state], graph.arc_begin[state + 1]):
            unit, target = int(graph.arc_unit[arc]), int(graph.arc_target[arc])
            value = score - float(graph.arc_cost[arc])
            for next_place, cost in [(place, 0.0)] if unit < 0 else [
                (step.target, step.cost) for step in steps
                if step.source == place and step.unit == unit
            ]:  # fmt: skip
                yield target, next_place, value - cost
                if graph.kind[target] == Kind.PENDING:
                    yield from leave(target, next_place, value - cost)

    tokens = {(int(graph.start[0]), 0): (0.0, [])}
    for row in scores:
        grown: dict = defaultdict(lambda: (-math.inf, []))
        for (state, place), (score, path) in tokens.items():
            stay = score + float(row[graph.loop[state]]) - float(graph.loop_cost[state])
            moves = [(state, place, stay)]
            moves += [
                (target, after, value + float(row[graph.forward[target]]))
                for target, after, value in leave(state, place, score)
                if graph.kind[target] != Kind.PENDING
            ]
            for target, after, value in moves:
                if value > grown[target, after][0]:
                    grown[target, after] = (value, [*path, target])
        tokens = dict(grown)
    ends = [(-math.inf, [])]
    for (state, place), (score, path) in tokens.items():
        ends += [
            (value, path)
            for target, after, value in [(state, place, score), *leave(state, place, score)]
            if after == last and graph.final[target]
            and (target == state or graph.kind[target] == Kind.PENDING)
        ]  # fmt: skip
    return max(ends)


def check_shape(path: AlignedPath, frames: int) -> None:
    """Spans follow each other within the sound, and their roles make syllables."""
    edges = [edge for span in path.spans for edge in (span.start, span.end)]
    assert edges == sorted(edges) and edges[0] >= 0 and edges[-1] <= frames
    assert all(span.end > span.start for span in path.spans)
    syllables: dict[int, list[Role]] = defaultdict(list)
    for span in path.spans:
        syllables[span.syllable].append(span.role)
    assert list(syllables) == list(range(len(syllables)))
    order = [Role.ONSET, Role.NUCLEUS, Role.CODA]
    for roles in syllables.values():
        assert Role.NUCLEUS in roles and sorted(set(roles), key=order.index) == roles


CASES = {
    "chain": ["▁나 는", "▁값 이", "▁옷 ▁안", "▁밥 이 ▁나", "▁이", "▁옷 이 다 ▁안"],
    "classical": ["▁나 는", "▁나는 ▁안 간다", "▁값이", "▁값 이 다", "▁국물 이"],
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind, texts in CASES.items() for text in texts]
)
def test_equals_exhaustive_search(
    kind: str, text: str, seed: int, request: pytest.FixtureRequest
) -> None:
    graph: HclGraph = request.getfixturevalue(kind)
    ids = vocabulary(SYLLABLES if kind == "chain" else PIECES)
    steps = linear_steps([ids[unit] for unit in text.split()])
    scores = random_scores(seed, 14 if kind == "chain" else 48)
    path = Aligner(graph).align(steps, scores)
    score, states = exhaustive(graph, steps, scores)
    assert path.score == pytest.approx(score, abs=1e-3)
    entered = [s != before for before, s in pairwise([int(graph.start[0]), *states])]
    expected = [scores[t, graph.forward[s] if new else graph.loop[s]]
                for t, (s, new) in enumerate(zip(states, entered, strict=True))]  # fmt: skip
    assert np.array_equal(path.frame_scores, np.array(expected, np.float32))
    said = [PHONES[graph.phone[s]] if graph.phone[s] >= 0 else "" for s in states]
    for span in path.spans:
        assert set(said[span.start : span.end]) == {span.phone}
    assert sum(span.end - span.start for span in path.spans) == sum(map(bool, said))
    assert path.steps == tuple(range(len(steps)))
    check_shape(path, len(scores))


@pytest.mark.parametrize("seed", range(4))
def test_chooses_among_spellings(seed: int, classical: HclGraph) -> None:
    """나는 간다 as one unit or two, spaced or not, at a cost."""
    ids = vocabulary(PIECES)
    steps = [
        Step(0, 1, ids["▁나"]),
        Step(0, 2, ids["▁나는"], 0.5),
        Step(1, 2, ids["는"]),
        Step(2, 3, ids["▁안"], 1.0),
        Step(2, 3, ids["안"], 0.2),
    ]
    scores = random_scores(100 + seed, 40)
    path = Aligner(classical).align(steps, scores)
    assert path.score == pytest.approx(exhaustive(classical, steps, scores)[0], abs=1e-3)
    places = [sorted(steps)[number] for number in path.steps]
    assert places[0].source == 0 and places[-1].target == 3
    assert all(a.target == b.source for a, b in pairwise(places))
    assert [span.syllable for span in path.spans if span.role == Role.NUCLEUS] == [0, 1, 2]
    units = {span.syllable: span.unit for span in path.spans}
    joined = places[0].target == 2
    assert [units[k] for k in range(3)] == ([0, 0, 1] if joined else [0, 1, 2])


@pytest.fixture(scope="module")
def lm() -> LmAutomaton:
    rng = np.random.default_rng(5)
    units = Vocabulary((*SPECIALS, *SYLLABLES))
    size = len(units)
    unigrams = NgramOrder(
        np.zeros(size, np.int32),
        np.arange(size, dtype=np.uint16),
        rng.normal(-2, 1, size).astype(np.float32),
        np.zeros(size, np.float32),
    )
    return build_automaton(NgramModel(units, (unigrams,)))


@pytest.mark.parametrize("seed", range(8))
def test_times_are_those_of_the_recogniser(seed: int, chain: HclGraph, lm: LmAutomaton) -> None:
    scores = random_scores(seed, 60)
    search = Decoder(chain, lm).search(DecoderConfig(beam=1e6, max_active=100_000))
    search.advance(scores)
    heard = search.best_path().units
    assert len(heard) > 2
    spans = align_units(chain, [lm.vocabulary.ids[unit.unit] for unit in heard], scores)
    for number, unit in enumerate(heard):
        own = [span for span in spans if span.unit == number]
        assert (own[0].start, own[-1].end) == (unit.start, unit.end)


def planted(spoken: list[tuple[str, int]]) -> np.ndarray:
    """Scores of phones said for so many frames each."""
    scores = np.full((sum(frames for _, frames in spoken), NUM_PDFS), -30, np.float32)
    begin, left = 0, SILENCE
    for phone, frames in spoken:
        scores[begin, pdf(left, phone)] = 0.0
        scores[begin + 1 : begin + frames, pdf(left, phone) + 1] = 0.0
        if begin == 0:  # the path begins in silence
            scores[0, pdf(SILENCE, SILENCE) + 1] = 0.0
        begin, left = begin + frames, phone
    return scores


def test_finds_the_sounds_where_they_were_put(chain: HclGraph) -> None:
    """옷이 안: ㅅ is said in 이's onset; there is a pause before 안."""
    ids = vocabulary(SYLLABLES)
    scores = planted([("SIL", 5), ("o", 3), ("s", 4), ("i", 5), ("SIL", 7), ("a", 6), ("n2", 2)])
    spans = align_units(chain, [ids["▁옷"], ids["이"], ids["▁안"]], scores)
    assert [(s.phone, s.role, s.syllable, s.unit, s.start, s.end) for s in spans] == [
        ("o", Role.NUCLEUS, 0, 0, 5, 8),
        ("s", Role.ONSET, 1, 1, 8, 12),
        ("i", Role.NUCLEUS, 1, 1, 12, 17),
        ("a", Role.NUCLEUS, 2, 2, 24, 30),
        ("n2", Role.CODA, 2, 2, 30, 32),
    ]
    assert all(span.score == 0.0 for span in spans)


def test_vowels_that_follow_each_other_are_two_sounds(chain: HclGraph) -> None:
    ids = vocabulary(SYLLABLES)
    scores = planted([("SIL", 3), ("i", 4), ("i", 5)])
    spans = align_units(chain, [ids["▁이"], ids["이"]], scores)
    assert [(span.start, span.end, span.syllable) for span in spans] == [(3, 7, 0), (7, 12, 1)]


@pytest.mark.parametrize("seed", range(5))
def test_a_beam_is_never_better_and_never_fails(seed: int, chain: HclGraph) -> None:
    ids = vocabulary(SYLLABLES)
    text = "▁나 는 ▁밥 이 다 ▁옷 이 ▁안 ▁값 이 다"
    steps = linear_steps([ids[unit] for unit in text.split()])
    scores = random_scores(seed, 70)
    aligner = Aligner(chain)
    exact = aligner.align(steps, scores)
    for beam in (0.5, 5.0, 20.0):
        pruned = aligner.align(steps, scores, AlignConfig(exact_cells=0, beam=beam))
        assert pruned.score <= exact.score + 1e-6
        check_shape(pruned, 70)
    wide = aligner.align(steps, scores, AlignConfig(exact_cells=0, beam=200.0))
    assert wide == exact


def test_any_phones_score_at_least_as_much(chain: HclGraph, classical: HclGraph) -> None:
    for graph, units, texts in (
        (chain, SYLLABLES, CASES["chain"]), (classical, PIECES, CASES["classical"]),
    ):  # fmt: skip
        aligner = Aligner(graph)
        scores = random_scores(3, 50)
        free = aligner.free_scores(scores)
        assert free.shape == (51,) and free[0] == 0.0
        assert free[-1] <= scores.max(axis=1).sum() + 1e-3
        for text in texts:
            steps = linear_steps([vocabulary(units)[unit] for unit in text.split()])
            path = aligner.align(steps, scores)
            assert path.frame_scores.sum() <= free[-1] + 1e-3


def test_planted_sounds_score_as_any_phones_do(chain: HclGraph) -> None:
    scores = planted([("SIL", 5), ("n", 3), ("a", 4), ("n", 2), ("eu", 3), ("n2", 4), ("SIL", 3)])
    assert Aligner(chain).free_scores(scores)[-1] == 0.0


def refused(graph: HclGraph, error: type[Exception], match: str) -> Callable[..., None]:
    def call(steps: list[Step], scores: np.ndarray, config: AlignConfig | None = None) -> None:
        with pytest.raises(error, match=match):
            Aligner(graph).align(steps, scores, config)

    return call


def test_says_what_is_wrong(chain: HclGraph) -> None:
    ids = vocabulary(SYLLABLES)
    text = linear_steps([ids["▁나"], ids["는"], ids["▁값"]])
    scores = random_scores(0, 30)
    refused(chain, DataError, "needs 8 frames at least")(text, scores[:7])
    refused(chain, DataError, "needs 8 frames at least")(text, scores[:0])
    refused(chain, DataError, "MiB")(text, scores, AlignConfig(memory=100))
    refused(chain, DataError, "cannot be pronounced")(linear_steps([ids["는"]]), scores)
    refused(chain, DataError, "cannot be pronounced")(linear_steps([ids["<s>"]]), scores)
    refused(chain, DataError, "cannot be pronounced")(linear_steps([10**6]), scores)
    refused(chain, UsageError, "later")([Step(1, 1, ids["▁나"])], scores)
    refused(chain, UsageError, "no unit")(linear_steps([-1]), scores)
    refused(chain, ModelError, "shape")(text, scores[:, :9])
    refused(chain, ModelError, "finite")(text, np.where(scores > 5, np.nan, scores))
    for options in ({"beam": 0.0}, {"beam": math.nan}, {"memory": 0}, {"exact_cells": -1}):
        with pytest.raises(UsageError):
            AlignConfig(**options)


def test_as_few_frames_as_sounds_are_enough(chain: HclGraph) -> None:
    ids = vocabulary(SYLLABLES)
    steps = linear_steps([ids["▁나"], ids["는"], ids["▁값"]])
    path = Aligner(chain).align(steps, random_scores(1, 8))
    assert [span.phone for span in path.spans] == ["n", "a", "n", "eu", "n2", "g", "a", "b2"]


def test_no_text_is_silence(chain: HclGraph) -> None:
    path = Aligner(chain).align([], random_scores(1, 9))
    assert path.spans == () and path.steps == ()
    assert Aligner(chain).align([], random_scores(1, 0)).score == 0.0
