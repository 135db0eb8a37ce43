"""Raw PCM in pieces gives the samples of the whole, at the model's rate."""

from __future__ import annotations

import io
import struct
import sys
from itertools import pairwise

import numpy as np
import pytest
import soxr
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import AudioError, UsageError
from asr.pcm import PcmDecoder, read_wav_header

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
    with pytest.raises(UsageError, match="makes no sense; it is 1000 to 384000"):
        PcmDecoder(rate, 16_000)


def wav_header(promised: int, kind: int = 1, bits: int = 16) -> bytes:
    """From behind RIFF to the samples: with a tag of an odd length, which is padded."""
    form = struct.pack("<HHIIHH", kind, 1, 8000, 16_000, 2, bits)
    extension = struct.pack("<HHI", 22, 16, 4) + bytes(16) if kind == 0xFFFE else b""
    size = struct.pack("<I", len(form + extension))
    tag = b"LIST" + struct.pack("<I", 3) + b"abc\0"
    data = struct.pack("<4sI", b"data", promised)
    return bytes(4) + b"WAVEfmt " + size + form + extension + tag + data


@pytest.mark.parametrize("kind", [1, 0xFFFE])
def test_a_wav_says_where_its_samples_end(kind: int) -> None:
    """Streams do not: sox, arecord and ffmpeg promise about 2 or 4 GiB, others nothing."""
    for promised, told in [(1000, 1000), (0, sys.maxsize), (0x7FFFF000, sys.maxsize),
                           (0xFFFFFFFF, sys.maxsize)]:  # fmt: skip
        pipe = io.BytesIO(wav_header(promised, kind) + b"samples")
        assert read_wav_header(pipe) == (8000, told)
        assert pipe.read() == b"samples"


def test_a_wav_that_is_no_pcm_or_broken_off() -> None:
    with pytest.raises(AudioError, match="1 channels and 8 bits"):  # A-law
        read_wav_header(io.BytesIO(wav_header(1000, 6, 8)))
    whole = wav_header(1000)
    for length in range(len(whole)):
        with pytest.raises(AudioError, match="damaged or cut off"):
            read_wav_header(io.BytesIO(whole[:length]))
