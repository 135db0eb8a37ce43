"""Lattices: N-best lists, posteriors and rescoring against exhaustive search."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import pytest
from small_lm import random_bigram

from asr.decoder.config import DecoderConfig
from asr.decoder.lattice import Lattice
from asr.decoder.records import PAUSE, UNION
from asr.decoder.search import Decoder
from asr.errors import ModelError, UsageError
from asr.graph.emissions import EmissionModel
from asr.graph.hcl import compile_hcl
from asr.graph.lexicon import SILENCE, START, Kind, State, SyllableLexicon
from asr.hangul.phones import PHONES
from asr.hmm.phones import Position
from asr.lm.automaton import LmAutomaton, build_automaton, step
from asr.lm.ngram import NgramModel, NgramOrder
from asr.lm.units import SPECIALS, Vocabulary

UNITS = ("▁나", "▁값", "▁옷", "▁안", "는", "이", "간")
NAMES = (SILENCE, *PHONES)
WIDE = DecoderConfig(beam=1e6, max_active=100_000, lattice_beam=50.0)
Texts = dict[tuple[str, ...], float]


def pdf(phone: str) -> int:
    return 2 * NAMES.index(phone)


def random_lm(seed: int) -> LmAutomaton:
    return random_bigram(UNITS, seed)


@pytest.fixture(scope="module")
def lexicon() -> SyllableLexicon:
    return SyllableLexicon(UNITS.__contains__)


@pytest.fixture(scope="module")
def decoder(lexicon: SyllableLexicon) -> Decoder:
    table = {
        ((left, Position.NONE), (phone, Position.NONE)): (pdf(phone), pdf(phone) + 1)
        for left in NAMES
        for phone in NAMES
    }
    lm = random_lm(5)
    graph = compile_hcl(lexicon, EmissionModel(table, has_positions=False), lm.vocabulary.ids)
    return Decoder(graph, lm)


def random_scores(seed: int, frames: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 2, (frames, 2 * len(NAMES))).astype(np.float32)


def every_text(
    lexicon: SyllableLexicon, lm: LmAutomaton, scores: np.ndarray, config: DecoderConfig
) -> Texts:
    """The best score of every text that fits into the frames, by plain dynamic programming."""
    tokens: dict[tuple[State, int, tuple[str, ...]], float] = {(START, lm.start_state, ()): 0.0}

    def leave(state: State, lm_state: int, score: float, said: tuple[str, ...]) -> Iterator:
        for arc in lexicon.arcs(state):
            value, following, spelled = score - arc.cost, lm_state, said
            if arc.unit:
                following, logp = step(lm, lm_state, lm.vocabulary.ids[arc.unit])
                value += config.lm_scale * logp + config.unit_bonus
                value += config.space_bonus * arc.unit.startswith("▁")
                spelled = (*said, arc.unit)
            if arc.target.kind == Kind.PENDING:
                yield from leave(arc.target, following, value, spelled)
            yield arc.target, following, value, spelled

    for row in scores:
        grown: dict[tuple[State, int, tuple[str, ...]], float] = defaultdict(lambda: -math.inf)
        for (state, lm_state, said), score in tokens.items():
            stay = (state, lm_state, said)
            grown[stay] = max(grown[stay], score + float(row[pdf(state.phone) + 1]))
            for target, after, value, spelled in leave(state, lm_state, score, said):
                if target.kind != Kind.PENDING:
                    place = (target, after, spelled)
                    grown[place] = max(grown[place], value + float(row[pdf(target.phone)]))
        tokens = dict(grown)
    texts: Texts = defaultdict(lambda: -math.inf)
    for (state, lm_state, said), score in tokens.items():
        places = [(state, lm_state, score, said)]
        if state.kind == Kind.VOWEL:
            places = [p for p in leave(state, lm_state, score, said) if p[0].kind == Kind.PENDING]
            places = [(target, after, value, spelled) for target, after, value, spelled in places]
        for place, after, value, spelled in places:
            if lexicon.is_final(place):
                _, end = step(lm, after, lm.eos)
                texts[spelled] = max(texts[spelled], value + config.lm_scale * end)
    return dict(texts)


def lattice_of(decoder: Decoder, scores: np.ndarray, config: DecoderConfig = WIDE) -> Lattice:
    search = decoder.search(config)
    search.advance(scores)
    lattice = search.lattice()
    assert lattice is not None
    return lattice


def paths(lattice: Lattice, record: int) -> Iterator[tuple[float, list[int]]]:
    """Every path from the beginning to a record: what it loses, and the records it takes."""
    records = lattice.records
    if record == 0:
        yield 0.0, []
        return
    sides = [(int(records.previous[record]), 0.0)]
    if records.unit[record] == UNION:
        sides.append((int(records.other[record]), float(records.loss[record])))
    for before, loss in sides:
        for lost, path in paths(lattice, before):
            yield lost + loss, [*path, record]


@pytest.mark.parametrize("seed", range(6))
def test_nbest_lists_hold_every_text_with_its_best_score(decoder, lexicon, seed) -> None:
    scores = random_scores(seed, 6)
    expected = every_text(lexicon, decoder.lm, scores, WIDE)
    best = max(expected.values())
    expected = {said: score for said, score in expected.items() if score > best - 40}
    found = lattice_of(decoder, scores).nbest(3000)
    units = [tuple(unit.unit for unit in hypothesis.units) for hypothesis in found]
    assert len(set(units)) == len(units)
    by_text = {said: h.score for said, h in zip(units, found, strict=True) if h.score > best - 40}
    assert by_text == pytest.approx(expected, abs=1e-3)
    assert [h.score for h in found] == sorted((h.score for h in found), reverse=True)


def test_a_short_list_is_the_head_of_a_long_one(decoder) -> None:
    lattice = lattice_of(decoder, random_scores(11, 9))
    long = [h.score for h in lattice.nbest(500)]
    assert [h.score for h in lattice.nbest(7)] == pytest.approx(long[:7], abs=1e-6)


def test_scores_are_the_sum_of_their_parts(decoder) -> None:
    for hypothesis in lattice_of(decoder, random_scores(3, 8)).nbest(20):
        state, lm = decoder.lm.start_state, 0.0
        for unit in [*(u.id for u in hypothesis.units), decoder.lm.eos]:
            state, logp = step(decoder.lm, state, unit)
            lm += logp
        assert hypothesis.lm == pytest.approx(lm, abs=1e-4)
        spaces = sum(u.unit.startswith("▁") for u in hypothesis.units)
        bonus = WIDE.unit_bonus * len(hypothesis.units) + WIDE.space_bonus * spaces
        assert hypothesis.bonus == pytest.approx(bonus, abs=1e-4)
        parts = hypothesis.acoustic + WIDE.lm_scale * hypothesis.lm + hypothesis.bonus
        assert hypothesis.score == pytest.approx(parts, abs=1e-4)


def test_the_best_is_the_best_path_and_times_run_on(decoder) -> None:
    search = decoder.search(WIDE)
    search.advance(random_scores(4, 12))
    lattice, path = search.lattice(), search.best_path()
    assert lattice is not None
    (best,) = lattice.nbest(1)
    assert best.score == pytest.approx(path.score, abs=1e-6)
    assert best.units == path.units
    for before, after in zip(best.units, best.units[1:], strict=False):
        assert 0 <= before.start < before.end <= after.start < after.end <= 12


@pytest.mark.parametrize("seed", range(4))
def test_rescoring_gives_what_a_search_with_the_other_model_gives(decoder, lexicon, seed) -> None:
    scores = random_scores(seed, 6)
    other = decoder.with_language(random_lm(77))
    config = DecoderConfig(
        beam=1e6, max_active=100_000, lm_scale=0.8, unit_bonus=1.0, space_bonus=1.0
    )
    expected = every_text(lexicon, other.lm, scores, config)
    found = lattice_of(decoder, scores).rescored(other, lm_scale=0.8, count=5, width=5000)
    best = sorted(expected.values(), reverse=True)[:5]
    assert [h.score for h in found] == pytest.approx(best, abs=1e-3)


def test_rescoring_without_the_model_takes_its_scores_out(decoder) -> None:
    lattice = lattice_of(decoder, random_scores(1, 6))
    found = lattice.rescored(decoder, lm_scale=0.0, count=3, width=5000)
    plain = lattice.nbest(5000)
    best = sorted((h.acoustic + h.bonus for h in plain), reverse=True)[:3]
    assert [h.score for h in found] == pytest.approx(best, abs=1e-3)


def test_lists_without_texts_and_models_of_other_units_are_refused(decoder, lexicon) -> None:
    lattice = lattice_of(decoder, random_scores(1, 6))
    with pytest.raises(UsageError, match="at least 1"):
        lattice.nbest(0)
    table = {
        ((left, Position.NONE), (phone, Position.NONE)): (pdf(phone), pdf(phone) + 1)
        for left in NAMES
        for phone in NAMES
    }
    vocabulary = Vocabulary((*SPECIALS, *UNITS[:3]))
    orders = (NgramOrder(np.zeros(6, np.int32), np.arange(6, dtype=np.uint16),
                         np.full(6, -2, np.float32), np.zeros(6, np.float32)),)  # fmt: skip
    other = build_automaton(NgramModel(vocabulary, orders))
    few = SyllableLexicon(UNITS[:3].__contains__)
    graph = compile_hcl(few, EmissionModel(table, has_positions=False), vocabulary.ids)
    with pytest.raises(ModelError, match="other units"):
        lattice.rescored(Decoder(graph, other))


@pytest.mark.parametrize("scale", [1.0, 0.3])
def test_posteriors_are_shares_of_all_paths(decoder, scale) -> None:
    lattice = lattice_of(decoder, random_scores(2, 5))
    weights, through = 0.0, np.zeros(len(lattice))
    for record, score in zip(lattice.endings.record, lattice.endings.score, strict=True):
        for lost, path in paths(lattice, int(record)):
            weight = math.exp(scale * (float(score) - lost - float(lattice.endings.score[0])))
            weights += weight
            through[path] += weight
    assert lattice.posteriors(scale)[1:] == pytest.approx(through[1:] / weights, abs=1e-6)


def test_what_is_said_twice_as_surely_is_surer(decoder) -> None:
    lattice = lattice_of(decoder, random_scores(8, 20))
    (best,) = lattice.nbest(1)
    sure = lattice.unit_posteriors(best.units, scale=20.0)
    unsure = lattice.unit_posteriors(best.units, scale=0.01)
    assert ((sure >= 0) & (sure <= 1) & (unsure >= 0) & (unsure <= 1)).all()
    assert sure.min() > 0.9
    assert unsure.mean() < sure.mean()


def test_a_narrow_lattice_is_small_and_still_holds_the_best(decoder) -> None:
    scores = random_scores(6, 40)
    narrow = lattice_of(decoder, scores, DecoderConfig(beam=30, lattice_beam=1.0))
    wide = lattice_of(decoder, scores, DecoderConfig(beam=30, lattice_beam=10.0))
    assert len(narrow) < len(wide)
    assert narrow.nbest(1)[0].score == pytest.approx(wide.nbest(1)[0].score, abs=1e-6)
    floor = wide.nbest(1)[0].score - 1.0
    far, near = ([h.score for h in lat.nbest(50) if h.score >= floor] for lat in (wide, narrow))
    assert near == pytest.approx(far, abs=1e-3)


def test_pauses_are_no_units(decoder) -> None:
    search = decoder.search(WIDE)
    quiet = np.full((30, 2 * len(NAMES)), -5.0, np.float32)
    quiet[:, :2] = 0.0
    search.advance(quiet)
    lattice = search.lattice()
    assert lattice is not None
    assert lattice.nbest(1)[0].units == ()
    assert PAUSE not in {unit.id for h in lattice.nbest(50) for unit in h.units}


def test_a_lattice_can_be_taken_in_the_midst_of_a_search(decoder) -> None:
    scores = random_scores(9, 30)
    through, halted = decoder.search(WIDE), decoder.search(WIDE)
    through.advance(scores)
    halted.advance(scores[:13])
    assert halted.lattice() is not None
    halted.advance(scores[13:])
    one, other = through.lattice(), halted.lattice()
    assert one is not None and other is not None
    assert [h.score for h in one.nbest(10)] == [h.score for h in other.nbest(10)]


def test_the_records_grow_as_needed(decoder, monkeypatch) -> None:
    scores = random_scores(10, 60)
    expected = lattice_of(decoder, scores).nbest(5)
    monkeypatch.setattr("asr.decoder.search.FIRST_RECORDS", decoder.most_records + 8)
    assert lattice_of(decoder, scores).nbest(5) == expected
