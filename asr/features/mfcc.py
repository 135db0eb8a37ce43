"""Mel-frequency cepstral coefficients, equal to Kaldi's compute-mfcc-feats."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from asr.features.config import MfccConfig
from asr.features.fbank import EPSILON, MelExtractor, row_product


def dct_matrix(num_ceps: int, num_mel_bins: int) -> Tensor:
    """Orthonormal DCT-II, float64 of shape (num_mel_bins, num_ceps) (Kaldi ComputeDctMatrix)."""
    bins = torch.arange(num_mel_bins, dtype=torch.float64).unsqueeze(1) + 0.5
    order = torch.arange(num_ceps, dtype=torch.float64)
    matrix = math.sqrt(2.0 / num_mel_bins) * torch.cos(math.pi / num_mel_bins * bins * order)
    matrix[:, 0] = math.sqrt(1.0 / num_mel_bins)
    return matrix


def lifter_coeffs(num_ceps: int, lifter: float) -> Tensor:
    """Scales of the cepstra, float64 of shape (num_ceps,); HTK's formula, C0 left as it is."""
    if lifter == 0.0:
        return torch.ones(num_ceps, dtype=torch.float64)
    order = torch.arange(num_ceps, dtype=torch.float64)
    return 1.0 + 0.5 * lifter * torch.sin(math.pi * order / lifter)


class Mfcc(MelExtractor):
    """Cepstra: ``Mfcc(config)(samples, lengths) -> (features, frame_lengths)``.

    >>> import torch
    >>> features, counts = Mfcc()(torch.zeros(1, 16000))
    >>> features.shape, counts
    (torch.Size([1, 98, 13]), tensor([98]))

    Raises:
        UsageError: mel bins or cutoff frequencies that do not suit the sampling rate.
    """

    def __init__(self, config: MfccConfig | None = None) -> None:
        self.config = config or MfccConfig()
        super().__init__(self.config)
        self._transform = self._cepstral_transform()

    def _cepstral_transform(self) -> Tensor:
        """DCT, lifter and HTK's order in one (num_mel_bins, num_ceps) matrix."""
        config = self.config
        matrix = dct_matrix(config.num_ceps, config.mel.num_mel_bins)
        matrix = matrix * lifter_coeffs(config.num_ceps, config.cepstral_lifter)
        if config.htk_compat:
            if not config.use_energy:
                matrix[:, 0] *= math.sqrt(2.0)
            matrix = matrix.roll(-1, dims=1)
        return matrix.float().contiguous()

    def _finish(self, mel_energies: Tensor, log_energy: Tensor | None, out: Tensor) -> None:
        log_mel = mel_energies.clamp_(min=EPSILON).log_()
        out.copy_(row_product(log_mel, self._constant("_transform", out.device)))
        if log_energy is not None:
            out[:, -1 if self.config.htk_compat else 0] = log_energy
