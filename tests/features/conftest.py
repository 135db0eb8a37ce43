"""Signals that the feature tests share."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

Signal = NDArray[np.float32]


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def speech_like() -> Callable[..., Signal]:
    """Tones that glide over noise, quantised to 16 bits, in [-1, 1]."""

    def make(num_samples: int, seed: int = 0, gain: float = 0.3, rate: float = 16000.0) -> Signal:
        rng = np.random.default_rng(seed)
        time = np.arange(num_samples) / rate
        tones = sum(np.sin(2 * np.pi * f * time * (1 + 0.1 * time)) for f in (140, 280, 1250, 2600))
        signal = gain * (0.2 * tones + 0.1 * rng.standard_normal(num_samples)) + 0.01
        return np.asarray(np.round(np.clip(signal, -1, 1) * 32767) / 32768, dtype=np.float32)

    return make
