"""Whisper's log-mel spectrogram (openai/whisper, whisper/audio.py ``log_mel_spectrogram``).

25 ms windows every 10 ms, Slaney's mel filters, decimal logarithms no more than 8 below the
utterance's loudest, brought to about ±1. Sounds are not padded to 30 seconds.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SAMPLE_RATE = 16_000
WINDOW, SHIFT = 400, 160
"""Samples."""
RANGE = 8.0
"""Powers of ten below the loudest."""


class LogMel:
    """Computes spectrograms. Immutable.

    Args:
        bins: mel filters; 80, or 128 for the large-v3 models.
        device: where.
    """

    def __init__(self, bins: int = 80, device: torch.device | str = "cpu") -> None:
        import librosa  # late: it takes a second

        filters = librosa.filters.mel(sr=SAMPLE_RATE, n_fft=WINDOW, n_mels=bins)
        self._filters = torch.from_numpy(np.asarray(filters, np.float32)).to(device)
        self._window = torch.hann_window(WINDOW, device=device)

    def __call__(self, samples: NDArray[np.float32]) -> Tensor:
        """float32 [N] at 16 kHz, N ≥ 400 → float32 [N // 160, bins]."""
        device = self._window.device
        sound = torch.from_numpy(np.array(samples, np.float32)).to(device)
        with torch.autocast(device.type, enabled=False):  # whatever the encoder computes in
            spectrum = torch.stft(sound, WINDOW, SHIFT, window=self._window, return_complex=True)
            power = spectrum[:, :-1].abs().square()
            log = (self._filters @ power).clamp(min=1e-10).log10()
        log = torch.maximum(log, log.max() - RANGE)
        return ((log + 4.0) / 4.0).T
