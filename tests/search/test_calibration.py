"""The map of probabilities: monotone, from 0 to 1, and a distribution stays one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from asr.search.calibration import calibrated, knots


def test_the_map_ascends_from_nothing_to_certainty() -> None:
    told, right = knots()
    assert (np.diff(told) > 0).all() and (np.diff(right) > 0).all()
    assert (told[0], right[0], told[-1], right[-1]) == (0, 0, 1, 1)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=10), st.floats(0.01, 1.0))
def test_order_stays_and_all_are_at_most_one(raw: list[float], all_of_them: float) -> None:
    total = sum(raw)
    shares = np.sort(np.array(raw) * (all_of_them / total if total > 1e-9 else 0.0))[::-1]
    mapped = calibrated(shares)
    assert (np.diff(mapped) <= 1e-12).all()
    assert (mapped >= 0).all() and mapped.sum() <= 1 + 1e-9


def test_a_sure_hit_stays_sure_and_none_stays_none() -> None:
    assert calibrated(np.array([1.0, 0.0])).tolist() == [1.0, 0.0]
    assert len(calibrated(np.zeros(0))) == 0
