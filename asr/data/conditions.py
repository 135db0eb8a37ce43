"""Copies of training speech as it would sound elsewhere: in rooms, in noise, by telephone.

Nothing but the speech itself is needed: rooms are simulated, noise is drawn, and babble is other
utterances of the same speech.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asr.audio import SAMPLE_RATE
from asr.data.augment import AddNoise, Babble, Rng, Telephone
from asr.data.rooms import Reverberate
from asr.errors import AudioError, UsageError

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ConditionsConfig:
    """What a copy of an utterance goes through, each with some probability.

    Attributes:
        copies: of each utterance; 0: none.
        rooms: probability of a simulated room.
        noise: of coloured noise, and
        babble: of other people talking; one of the two at most.
        telephone: of a telephone's band and mu-law.
        snr: decibels of speech over noise or babble, drawn uniformly.
        talkers: in babble, from and to.
        voices: utterances of which babble is made, at most; evenly from all.
        seed: of all that is drawn.
    """

    copies: int = 0
    rooms: float = 0.5
    noise: float = 0.35
    babble: float = 0.35
    telephone: float = 0.25
    snr: tuple[float, float] = (5.0, 20.0)
    talkers: tuple[int, int] = (3, 7)
    voices: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("snr", "talkers"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        chances = (self.rooms, self.noise, self.babble, self.telephone, self.noise + self.babble)
        if not all(0.0 <= chance <= 1.0 for chance in chances):
            raise UsageError("probabilities of conditions lie within 0 and 1, as does the sum of"
                             " those of noise and babble")  # fmt: skip
        if self.copies < 0 or self.voices < 1 or self.seed < 0:
            raise UsageError("conditions take 0 copies or more, 1 voice or more, a seed from 0 on")
        AddNoise(self.snr)
        if len(self.talkers) != 2 or not 1 <= self.talkers[0] <= self.talkers[1]:
            raise UsageError(f"talkers are a range from 1 on, not {self.talkers}")


class Voice(Protocol):
    """An utterance of which babble may be made."""

    @property
    def id(self) -> str:
        """Unique."""

    def samples(self, sample_rate: int) -> Samples:
        """float32 [N] at a rate in Hz. Raises AudioError."""


class Conditions:
    """Puts sound into the conditions of a config. The same call gives the same result.

    Args:
        config: options.
        speech: whose utterances babble is made of; a speaker is told by ``speaker``, where there
            is one, and is not heard in babble behind himself.
    """

    def __init__(self, config: ConditionsConfig, speech: Sequence[Voice]) -> None:
        self.config = config
        self._room = Reverberate()
        self._noise = AddNoise(config.snr)
        self._telephone = Telephone()
        self._voices: list[tuple[str, Samples]] = []
        if not (config.copies and config.babble):
            return
        for voice in speech[:: max(1, -(-len(speech) // config.voices))]:
            try:
                samples = voice.samples(SAMPLE_RATE)
            except AudioError:
                continue  # it is told of where it is trained on
            if np.any(samples):
                self._voices.append((speaker_of(voice), samples))

    def rng(self, name: str, copy: int) -> Rng:
        """What is drawn for a copy of an utterance depends on nothing else."""
        digest = hashlib.sha256(f"{self.config.seed} {copy} {name}".encode()).digest()
        return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))

    def __call__(self, samples: Samples, rng: Rng, speaker: str = "") -> Samples:
        """Sound float32 [N] at 16 kHz as it is heard there: float32 [N], within −1 to 1."""
        config = self.config
        heard = self._room(samples, rng) if rng.random() < config.rooms else samples
        background = rng.random()
        if background < config.noise:
            heard = self._noise(heard, rng)
        elif background < config.noise + config.babble:
            heard = self._with_babble(heard, rng, speaker)
        if rng.random() < config.telephone:
            heard = self._telephone(heard, rng)
        return np.asarray(heard / max(1.0, float(np.abs(heard).max(initial=0.0))), np.float32)

    def _with_babble(self, samples: Samples, rng: Rng, speaker: str) -> Samples:
        others = [sound for whose, sound in self._voices if not speaker or whose != speaker]
        if not others:  # nobody else: noise comes nearest
            return self._noise(samples, rng)
        low, high = self.config.talkers
        count = int(rng.integers(low, high + 1))
        chosen = rng.choice(len(others), count, replace=count > len(others))
        babble = Babble([others[int(place)] for place in chosen], (count, count), self.config.snr)
        return babble(samples, rng)


def speaker_of(voice: object) -> str:
    """Who says an utterance; empty where it does not tell."""
    return str(getattr(voice, "speaker", "") or "")
