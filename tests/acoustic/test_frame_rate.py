"""Scores at another frame rate, against scipy's interpolation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import interp1d

from asr.acoustic.frame_rate import at_frame_rate

CHANCE = np.random.default_rng(3)


@pytest.mark.parametrize(("given", "wanted"), [(0.02, 0.03), (0.03, 0.02), (0.01, 0.03)])
@pytest.mark.parametrize("frames", [2, 3, 50, 51])
def test_it_is_scipys(given: float, wanted: float, frames: int) -> None:
    scores = CHANCE.normal(size=(frames, 7)).astype(np.float32)
    found = at_frame_rate(scores, given, wanted)
    assert found.dtype == np.float32 and found.flags.c_contiguous
    assert abs(len(found) * wanted - frames * given) <= max(given, wanted)
    times = np.arange(frames) * given
    ends = (scores[0], scores[-1])  # a frame behind the last stands for it
    line = interp1d(times, scores, axis=0, bounds_error=False, fill_value=ends)
    np.testing.assert_allclose(found, line(np.arange(len(found)) * wanted), atol=1e-5)


def test_as_they_are() -> None:
    scores = CHANCE.normal(size=(5, 2)).astype(np.float32)
    assert at_frame_rate(scores, 0.03, 0.03) is scores
    assert at_frame_rate(scores[:0], 0.02, 0.03).shape == (0, 2)
    assert at_frame_rate(scores[:1], 0.03, 0.02).tolist() == [scores[0].tolist()] * 2
    assert at_frame_rate(scores[:1], 0.01, 0.03).tolist() == [scores[0].tolist()]
