"""Raw PCM in pieces gives the samples of the whole, at the model's rate."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import UsageError
from asr.pcm import PcmDecoder

SOUND = np.random.default_rng(5).integers(-32768, 32768, 5000).astype("<i2")


def cut(data: bytes, places: list[int]) -> list[bytes]:
    borders = [0, *sorted(places), len(data)]
    return [data[begin:end] for begin, end in pairwise(borders)]


@given(st.lists(st.integers(0, 10_000), max_size=12), st.sampled_from([8000, 16_000, 44_100]))
def test_pieces_are_the_whole(places: list[int], rate: int) -> None:
    decoder = PcmDecoder(rate, 16_000)
    parts = [decoder.accept(piece) for piece in cut(SOUND.tobytes(), places)]
    found = np.concatenate([*parts, decoder.finish()])
    wanted = SOUND.astype(np.float32) / 32768
    if rate != 16_000:
        wanted = np.clip(soxr.resample(wanted, rate, 16_000, "HQ"), -1, 1)
    assert found.dtype == np.float32 and len(found) == len(wanted)
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert decoder.seconds == pytest.approx(len(SOUND) / rate)
    assert not decoder.broken_off and np.abs(found).max() <= 1.0


def test_half_a_sample_waits_for_its_other_half() -> None:
    decoder = PcmDecoder(16_000, 16_000)
    assert len(decoder.accept(b"\x00")) == 0 and decoder.broken_off
    assert decoder.accept(b"\x40").tolist() == [0.5] and not decoder.broken_off


@pytest.mark.parametrize("rate", [-1, 0, 999, 400_000])
def test_a_rate_that_makes_no_sense(rate: int) -> None:
    with pytest.raises(UsageError, match="makes no sense"):
        PcmDecoder(rate, 16_000)
