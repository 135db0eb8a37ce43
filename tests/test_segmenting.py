"""Segments tile the sound, are bounded, and begin and end where it is quiet."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.segmenting import SegmentCutter, SegmentingConfig, SoundSegment

RATE = 1000
CONFIG = SegmentingConfig(min_seconds=1.5, max_seconds=3.0)


def cut(samples: np.ndarray, sizes: list[int]) -> list[SoundSegment]:
    cutter = SegmentCutter(RATE, CONFIG)
    found, begin, turn = [], 0, 0
    while begin < len(samples):
        size = sizes[turn % len(sizes)]
        found += list(cutter.accept(samples[begin : begin + size]))
        begin, turn = begin + size, turn + 1
    return found + list(cutter.finish())


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.integers(0, 12_000), st.lists(st.integers(1, 5000), min_size=1, max_size=5))
def test_segments_tile_the_sound_however_it_comes(length: int, sizes: list[int]) -> None:
    samples = np.random.default_rng(length).normal(0, 0.1, length).astype(np.float32)
    found = cut(samples, sizes)
    joined = np.concatenate([segment.samples for segment in found] or [samples])
    assert np.array_equal(joined, samples)
    assert all(len(segment.samples) <= CONFIG.max_seconds * RATE for segment in found)
    assert all(len(segment.samples) >= CONFIG.min_seconds * RATE for segment in found[:-1])
    starts = np.cumsum([0, *(len(segment.samples) for segment in found)])[:-1] / RATE
    assert [segment.start for segment in found] == starts.tolist()


def test_cuts_fall_into_pauses() -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, 10_000).astype(np.float32)
    pauses = [(2000, 2400), (4500, 4900), (7000, 7400)]
    for begin, end in pauses:
        samples[begin:end] *= 1e-3
    cuts = [round(segment.start * RATE) for segment in cut(samples, [700])[1:]]
    assert len(cuts) >= 3
    assert all(any(begin <= at <= end for begin, end in pauses) for at in cuts[:3])


def test_only_inaudible_segments_count_as_silent() -> None:
    quiet = np.full(6000, 5e-5, np.float32)
    assert all(segment.silent for segment in cut(quiet, [6000]))
    quiet[5500:5600] = 0.01
    assert [segment.silent for segment in cut(quiet, [6000])][-1] is False
