"""Segments tile the sound, are bounded, and begin and end where it is quiet."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.segmenting import SegmentCutter, SegmentingConfig, SoundSegment
from asr.voice import FRAME, SAMPLE_RATE

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


class Spoken:
    """Stands in for the detector: hears speech before a time, in seconds, and none after it."""

    def __init__(self, until: float) -> None:
        self._until, self._samples, self._frames = until, 0, 0

    def accept(self, samples: np.ndarray) -> np.ndarray:
        self._samples += len(samples)
        first, self._frames = self._frames, self._samples // FRAME
        times = np.arange(first, self._frames) * FRAME / SAMPLE_RATE
        return (times < self._until).astype(np.float32)


@pytest.mark.parametrize("quiet_from", [29.2, 29.7])
@pytest.mark.parametrize("size", [1600, 80_000])
def test_a_cut_behind_the_last_speech_leaves_no_segment_without_any(quiet_from, size) -> None:
    # too long a segment is cut at its quietest place, which lies behind the speech here
    samples = np.random.default_rng(0).normal(0, 0.1, 36 * SAMPLE_RATE).astype(np.float32)
    samples[int(quiet_from * SAMPLE_RATE) :] *= 1e-3
    cutter = SegmentCutter(SAMPLE_RATE)
    cutter._voices._stream = Spoken(until=28.3)
    found = []
    for begin in range(0, len(samples), size):
        found += list(cutter.accept(samples[begin : begin + size]))
    found += list(cutter.finish())
    assert len(found) == 1
    assert quiet_from <= len(found[0].samples) / SAMPLE_RATE <= 30
    assert len(cutter._held) < 3 * SAMPLE_RATE
