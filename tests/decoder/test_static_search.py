"""The search on static graphs finds what exhaustive search and the search on the fly find."""

from __future__ import annotations

import numpy as np
import pytest
from static_cases import (
    NUM_PDFS,
    all_texts,
    random_graph,
    random_scores,
    tiny_hcl,
    tiny_lm,
)

from asr.decoder import static_search
from asr.decoder.config import DecoderConfig
from asr.decoder.search import Decoder
from asr.decoder.static_records import MADE
from asr.decoder.static_search import StaticDecoder, StaticSearch
from asr.errors import ModelError
from asr.graph.static_compile import compile_static
from asr.graph.static_graph import StaticGraph

WIDE = DecoderConfig(beam=1e6, max_active=100_000, lattice_beam=50.0)


@pytest.fixture(scope="module")
def compiled() -> tuple[StaticDecoder, Decoder]:
    """One graph, static and on the fly; in this model no listed bigram is better backed off."""
    lm = tiny_lm(3, backoff=-6.0, order=2)
    hcl = tiny_hcl(lm)
    return StaticDecoder(compile_static(hcl, lm, WIDE)), Decoder(hcl, lm)


def searched(decoder: StaticDecoder, scores: np.ndarray, config: DecoderConfig) -> StaticSearch:
    search = decoder.search(config)
    search.advance(scores)
    return search


def ids(units) -> tuple[int, ...]:
    return tuple(unit.id for unit in units)


@pytest.mark.parametrize("seed", range(25))
def test_any_graph_equals_exhaustive_search(seed: int) -> None:
    graph = random_graph(seed)
    scores = random_scores(seed, 5, 12)
    texts = all_texts(graph, scores)
    search = searched(StaticDecoder(graph), scores, WIDE)
    path = search.best_path()
    assert path.complete == bool(texts)
    if texts:
        best = max(texts, key=texts.__getitem__)
        assert path.score == pytest.approx(texts[best], abs=1e-4)
        assert ids(path.units) == best


@pytest.mark.parametrize("seed", range(25))
def test_nbest_is_that_of_exhaustive_search(seed: int) -> None:
    graph = random_graph(seed)
    scores = random_scores(100 + seed, 4, 12)
    texts = all_texts(graph, scores)
    if not texts:
        pytest.skip("no path of this length ends")
    lattice = searched(StaticDecoder(graph), scores, WIDE).lattice()
    assert lattice is not None
    found = lattice.nbest(12)
    expected = sorted(texts.values(), reverse=True)
    near = [score for score in expected if score > expected[0] - WIDE.lattice_beam + 1e-3]
    assert [hypothesis.score for hypothesis in found] == pytest.approx(near[:12], abs=1e-3)
    for hypothesis in found:
        assert hypothesis.score == pytest.approx(texts[ids(hypothesis.units)], abs=1e-3)


@pytest.mark.parametrize("seed", range(8))
def test_equals_the_search_on_the_fly(seed: int, compiled: tuple[StaticDecoder, Decoder]) -> None:
    static, on_the_fly = compiled
    scores = random_scores(seed, 30, NUM_PDFS)
    other = on_the_fly.search(WIDE)
    other.advance(scores)
    search = searched(static, scores, WIDE)
    path, expected = search.best_path(), other.best_path()
    assert path.complete and expected.complete
    assert path.score == pytest.approx(expected.score, abs=1e-3)
    assert path.units == expected.units  # their times, too
    ours, theirs = search.lattice(), other.lattice()
    assert ours is not None and theirs is not None
    assert [h.score for h in ours.nbest(20)] == pytest.approx(
        [h.score for h in theirs.nbest(20)], abs=1e-3
    )
    assert [ids(h.units) for h in ours.nbest(20)] == [ids(h.units) for h in theirs.nbest(20)]


def test_pieces_equal_the_whole(compiled: tuple[StaticDecoder, Decoder]) -> None:
    scores = random_scores(11, 60, NUM_PDFS)
    whole = searched(compiled[0], scores, WIDE)
    pieces = compiled[0].search(WIDE)
    for begin in range(0, 60, 7):
        pieces.advance(scores[begin : begin + 7])
    assert pieces.best_path() == whole.best_path()
    assert pieces.frames == 60


@pytest.mark.parametrize(("records", "tokens"), [(16, 4), (64, 1 << 13), (1 << 16, 4)])
def test_room_is_made_in_the_midst_of_a_frame(
    records: int,
    tokens: int,
    compiled: tuple[StaticDecoder, Decoder],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores = random_scores(5, 60, NUM_PDFS)
    config = DecoderConfig(beam=14.0, lattice_beam=8.0)
    roomy = searched(compiled[0], scores, config)
    monkeypatch.setattr(static_search, "FIRST_RECORDS", records)
    monkeypatch.setattr(static_search, "FIRST_TOKENS", tokens)
    tight = searched(compiled[0], scores, config)
    assert tight.best_path() == roomy.best_path()
    one, other = tight.lattice(), roomy.lattice()
    assert one is not None and other is not None
    assert one.nbest(50) == other.nbest(50)


def test_records_that_nobody_holds_make_room(
    compiled: tuple[StaticDecoder, Decoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = random_scores(2, 1200, NUM_PDFS)
    config = DecoderConfig(beam=25.0, lattice_beam=2.0)
    monkeypatch.setattr(static_search, "FIRST_RECORDS", 1 << 20)
    everything = searched(compiled[0], scores, config)
    made = int(everything._at[MADE])
    monkeypatch.setattr(static_search, "FIRST_RECORDS", 256)
    frugal = searched(compiled[0], scores, config)
    assert len(frugal._trail.losses) < made / 4
    assert frugal.best_path() == everything.best_path()


@pytest.mark.parametrize("beam", (0.5, 3.0, 8.0, 20.0))
def test_a_narrower_beam_is_never_better(
    beam: float, compiled: tuple[StaticDecoder, Decoder]
) -> None:
    for seed in range(5):
        scores = random_scores(seed, 40, NUM_PDFS)
        wide = searched(compiled[0], scores, WIDE)
        narrow = searched(compiled[0], scores, DecoderConfig(beam=beam))
        assert 0 < narrow.active <= wide.active
        path = narrow.best_path()
        assert not path.complete or path.score <= wide.best_path().score + 1e-4


def test_beams_and_max_active_bound_the_tokens(compiled: tuple[StaticDecoder, Decoder]) -> None:
    scores = random_scores(7, 40, NUM_PDFS)

    def active(**options: float) -> int:
        return searched(compiled[0], scores, DecoderConfig(**options)).active

    everything = active(beam=1e6, max_active=100_000)
    assert active(beam=4.0) < everything / 3
    kept = [active(beam=1e6, max_active=most) for most in (1, 5, 20)]
    assert kept == sorted(kept)
    assert kept[0] < kept[-1] < everything


def test_without_a_lattice_the_best_path_is_the_same(
    compiled: tuple[StaticDecoder, Decoder],
) -> None:
    scores = random_scores(9, 50, NUM_PDFS)
    plain = searched(compiled[0], scores, DecoderConfig(beam=15.0, lattice_beam=0.0))
    assert plain.best_path() == searched(compiled[0], scores, DecoderConfig(beam=15.0)).best_path()
    lattice = plain.lattice()
    assert lattice is not None
    assert len(lattice.nbest(5)) == 1


def test_no_frames_is_an_empty_path(compiled: tuple[StaticDecoder, Decoder]) -> None:
    path = compiled[0].search().best_path()
    assert path.units == ()
    assert path.complete


def test_refuses_scores_and_graphs_that_do_not_fit(
    compiled: tuple[StaticDecoder, Decoder],
) -> None:
    with pytest.raises(ModelError, match="shape"):
        compiled[0].search().advance(np.zeros((3, 5), np.float32))
    bad = random_scores(1, 3, NUM_PDFS)
    bad[1] = np.inf
    with pytest.raises(ModelError, match="finite"):
        compiled[0].search().advance(bad)
    graph = random_graph(1)
    arrays = {name: getattr(graph, name) for name in StaticGraph.__slots__}
    loop = {**arrays, "arc_target": np.full_like(graph.arc_target, graph.states - 1)}
    with pytest.raises(ModelError, match="fit together"):
        StaticDecoder(StaticGraph(**loop))
