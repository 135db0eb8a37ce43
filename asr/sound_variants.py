"""The sounds that are made of an utterance for training: at some speeds, in other conditions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.audio import SAMPLE_RATE
from asr.data.augment import change_speed
from asr.data.conditions import Conditions
from asr.errors import UsageError

PLAIN = "1"
"""Name of the sound as it was recorded."""


@dataclass(frozen=True, slots=True, eq=False)
class SoundVariant:
    """One of them.

    Attributes:
        name: unique within the utterance.
        played: float32 [N] at the variant's speed, without noise: what a teacher may hear.
        heard: float32 [N], what is trained on.
    """

    name: str
    played: NDArray[np.float32]
    heard: NDArray[np.float32]


class SoundVariants:
    """Makes them; the same for the same utterance.

    Args:
        speeds: at which it is played as it is.
        conditions: copies in other conditions, each at one of the speeds; None for none.
        plain: False for the copies alone, at their own speed.
    """

    def __init__(
        self, speeds: Sequence[float], conditions: Conditions | None = None, plain: bool = True
    ) -> None:
        self._speeds, self._conditions, self._plain = tuple(speeds), conditions, plain

    def __call__(
        self, name: str, speaker: str, samples: NDArray[np.float32], sample_rate: int
    ) -> Iterator[SoundVariant]:
        """Of an utterance: float32 [N] samples.

        Raises:
            UsageError: copies in other conditions of a sound that is not at 16 kHz.
        """
        if self._plain:
            for speed in self._speeds:
                sound = change_speed(samples, speed)
                yield SoundVariant(f"{speed:g}", sound, sound)
        conditions = self._conditions
        if conditions is None or not conditions.config.copies:
            return
        if sample_rate != SAMPLE_RATE:
            raise UsageError(f"other conditions are made at {SAMPLE_RATE} Hz, and the model takes"
                             f" {sample_rate} Hz: train without --augment")  # fmt: skip
        for copy in range(1, conditions.config.copies + 1):
            rng = conditions.rng(name, copy)
            speed = self._speeds[int(rng.integers(len(self._speeds)))] if self._plain else 1.0
            played = change_speed(samples, speed)
            yield SoundVariant(f"noisy{copy}", played, conditions(played, rng, speaker))


AS_RECORDED = SoundVariants((1.0,))
"""The sound itself alone."""
