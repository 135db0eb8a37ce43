"""16-bit PCM that comes piece by piece, as samples at a model's rate."""

from __future__ import annotations

import struct
import sys
from typing import BinaryIO

import numpy as np
import soxr
from numpy.typing import NDArray

from asr.errors import AudioError, UsageError

SAMPLE_RATES = (1_000, 384_000)
"""Hz; nothing is recorded at others."""
_FULL_SCALE = np.float32(1.0 / 32768.0)
_WAV_PCM = (1, 0xFFFE)
"""Formats of a wav's samples: plain, and with a longer header that says the same."""
_WAV_CHUNK_BYTES = 1 << 20
"""Chunks before the sound, as tags are, are shorter."""
_WAV_STREAMED = 0x7FFF0000
"""Bytes of sound that a header promises, or more, or none, where its writer did not know."""


class PcmDecoder:
    """Little-endian 16-bit samples of one channel, in pieces of any number of bytes.

    Args:
        sample_rate: of the sound that will come, in Hz.
        wanted: of the samples that are given.

    Attributes:
        seconds: of sound that has come.

    Raises:
        UsageError: a rate at which nothing is recorded.
    """

    def __init__(self, sample_rate: int, wanted: int) -> None:
        low, high = SAMPLE_RATES
        if not low <= sample_rate <= high:
            raise UsageError(f"a sample rate of {sample_rate} Hz makes no sense;"
                             f" it is {low} to {high}")
        self.seconds = 0.0
        self._rate = sample_rate
        self._rest = b""
        self._resample = None
        if sample_rate != wanted:
            self._resample = soxr.ResampleStream(sample_rate, wanted, 1, "float32", "HQ")

    @property
    def broken_off(self) -> bool:
        """Whether the last piece ended within a sample, which the next one may complete."""
        return bool(self._rest)

    def accept(self, pcm: bytes) -> NDArray[np.float32]:
        """The samples of a piece, float32 [n] in [-1, 1]."""
        data = self._rest + pcm
        whole = len(data) // 2 * 2
        self._rest = data[whole:]
        samples = np.frombuffer(data[:whole], "<i2").astype(np.float32) * _FULL_SCALE
        self.seconds += len(samples) / self._rate
        if self._resample is None:
            return samples
        return self._within(self._resample.resample_chunk(samples))

    def finish(self) -> NDArray[np.float32]:
        """What the resampler still holds, float32 [n]; nothing may come afterwards."""
        if self._resample is None:
            return np.zeros(0, np.float32)
        return self._within(self._resample.resample_chunk(np.zeros(0, np.float32), last=True))

    @staticmethod
    def _within(samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Loud sound may overshoot where it is resampled."""
        return np.clip(samples, -1.0, 1.0)


def read_wav_header(pipe: BinaryIO) -> tuple[int, int]:
    """Read a wav from behind its first four bytes (RIFF) to where its samples begin.

    Returns:
        Their rate, and how many bytes they are (tags may follow): sys.maxsize where that is not
        known, as of a stream.

    Raises:
        AudioError: it is damaged, or the samples are not 16-bit PCM of one channel.
    """
    rate = None
    pipe.read(8)
    while len(head := pipe.read(8)) == 8:
        name, size = struct.unpack("<4sI", head)
        if name == b"data" and rate is not None:
            return rate, size if 0 < size < _WAV_STREAMED else sys.maxsize
        if size > _WAV_CHUNK_BYTES:
            break
        body = pipe.read(size + size % 2)
        if name == b"fmt " and len(body) >= 16:
            kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", body[:16])
            if kind not in _WAV_PCM or channels != 1 or bits != 16:
                raise AudioError(f"standard input is a wav of {channels} channels and {bits} bits:"
                                 " it must be 16-bit PCM of one channel, or a file that is named")
    raise AudioError("standard input is a wav whose header is damaged or cut off")
