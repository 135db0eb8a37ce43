"""The search on a lazily composed graph finds what the search on the finished graph finds."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from static_cases import NUM_PDFS, random_scores, tiny_hcl, tiny_lm

from asr.decoder import lazy_search
from asr.decoder.config import DecoderConfig
from asr.decoder.lazy_compose import Cache
from asr.decoder.lazy_search import LazyDecoder
from asr.decoder.static_search import StaticDecoder
from asr.errors import ModelError
from asr.graph.static_compile import compile_static

WIDE = DecoderConfig(beam=1e6, max_active=100_000, lattice_beam=50.0)
NARROW = DecoderConfig(beam=9.0, max_active=60, lattice_beam=6.0)


def found(decoder, scores: np.ndarray, config: DecoderConfig):
    """Score and units of the best path, and scores and units of the best texts."""
    search = decoder.search(config)
    search.advance(scores)
    path, lattice = search.best_path(), search.lattice()
    texts = lattice.nbest(20) if lattice is not None else []
    return (
        path.complete,
        path.score,
        [(unit.id, unit.start, unit.end) for unit in path.units],
        [text.score for text in texts],
        [[unit.id for unit in text.units] for text in texts],
    )


def check_same(one, other) -> None:
    assert one[0] == other[0] and one[2] == other[2] and one[4] == other[4]
    assert one[1] == pytest.approx(other[1], abs=1e-3)
    assert one[3] == pytest.approx(other[3], abs=1e-3)


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize("config", [WIDE, NARROW])
def test_equals_the_finished_graph_cold_and_warm(order: int, config: DecoderConfig) -> None:
    lm = tiny_lm(3, backoff=-1.0, order=order)
    hcl = tiny_hcl(lm)
    static, lazy = StaticDecoder(compile_static(hcl, lm, WIDE)), LazyDecoder(hcl, lm, WIDE)
    for seed in range(12):
        scores = random_scores(seed, 14, NUM_PDFS)
        expected = found(static, scores, config)
        check_same(found(LazyDecoder(hcl, lm, WIDE), scores, config), expected)
        check_same(found(lazy, scores, config), expected)
        check_same(found(lazy, scores, config), expected)


class Cramped(LazyDecoder):
    """Whose look-ahead lists have hardly any room at first."""

    def _empty(self) -> Cache:
        entries = np.zeros((self.classes + 1, 2), np.int32)
        return super()._empty()._replace(entries=entries, entry_floats=entries.view(np.float32))


def test_arrays_that_run_full_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny_lm(4, backoff=-1.0, order=3)
    hcl = tiny_hcl(lm)
    scores = random_scores(1, 14, NUM_PDFS)
    static = StaticDecoder(compile_static(hcl, lm, WIDE))
    monkeypatch.setattr(lazy_search, "FIRST_STATES", 64)
    monkeypatch.setattr(lazy_search, "FIRST_ARCS", 64)
    lazy = Cramped(hcl, lm, WIDE)
    check_same(found(lazy, scores, WIDE), found(static, scores, WIDE))
    (cache,) = lazy._idle
    assert len(cache.states) > 64 and len(cache.arcs) > 64
    assert len(cache.entries) > lazy.classes + 1


def test_more_new_states_than_are_remembered_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny_lm(4, backoff=-1.0, order=3)
    hcl = tiny_hcl(lm)
    scores = random_scores(1, 14, NUM_PDFS)
    expected = found(LazyDecoder(hcl, lm, WIDE), scores, WIDE)
    monkeypatch.setattr(lazy_search, "FIRST_TODO", 2)
    check_same(found(LazyDecoder(hcl, lm, WIDE), scores, WIDE), expected)


def test_piece_by_piece_and_two_at_a_time_is_the_same() -> None:
    lm = tiny_lm(5, backoff=-1.0, order=3)
    lazy = LazyDecoder(tiny_hcl(lm), lm, WIDE)
    scores = random_scores(2, 14, NUM_PDFS)
    expected = found(lazy, scores, WIDE)
    one, other = lazy.search(WIDE), lazy.search(WIDE)
    for row in range(len(scores)):
        one.advance(scores[row : row + 1])
        other.advance(scores[row : row + 1])
    for search in (one, other):
        assert search.best_path().score == pytest.approx(expected[1], abs=1e-3)


def test_a_cache_is_kept_up_to_its_limit() -> None:
    lm = tiny_lm(5, backoff=-1.0, order=2)
    hcl = tiny_hcl(lm)
    kept, dropped = LazyDecoder(hcl, lm, WIDE), LazyDecoder(hcl, lm, WIDE, most_bytes=1)
    for decoder in (kept, dropped):
        found(decoder, random_scores(2, 14, NUM_PDFS), WIDE)
    assert kept.cached_states > 1 and dropped.cached_states == 0


@pytest.mark.parametrize("made", [LazyDecoder, compile_static])
def test_graphs_that_cannot_be_composed_are_refused(made: Callable[..., object]) -> None:
    lm = tiny_lm(5, backoff=-1.0, order=2)
    hcl = tiny_hcl(lm)
    for unit, message in ((len(lm.vocabulary), "lacks"), (-1, "no lexicon makes")):
        units = hcl.arc_unit.copy()
        units[units.argmax()] = unit
        with pytest.raises(ModelError, match=message):
            made(replace(hcl, arc_unit=units), lm, WIDE)


def test_a_search_may_be_dropped_amid_another_call() -> None:
    """As where the collector of garbage runs while the same thread holds the lock."""
    lm = tiny_lm(5, backoff=-1.0, order=2)
    decoder = LazyDecoder(tiny_hcl(lm), lm, WIDE)
    searches = [decoder.search(WIDE)]

    def drop() -> None:
        with decoder._lock:
            searches.clear()

    thread = threading.Thread(target=drop, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive() and decoder.cached_states > 0
