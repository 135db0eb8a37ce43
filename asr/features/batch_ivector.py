"""i-vectors of many utterances at once: what :mod:`asr.features.ivector` gives one by one.

The statistics' long sums are taken in float64: float32 would round differently for every size of
batch, and by more than a network's scores should differ.
"""

from __future__ import annotations

import torch
from torch import Tensor

from asr.errors import UsageError
from asr.features.deltas import full_lengths
from asr.features.ivector import IvectorExtractor

FRAMES = 1 << 16  # frames × utterances whose posteriors are held at once


class BatchIvectors:
    """Estimates the i-vectors of batches; immutable, so threads may share it.

    Args:
        extractor: the model, and the device that it is on.
    """

    def __init__(self, extractor: IvectorExtractor) -> None:
        self._extractor = extractor
        self._quadratic = extractor._quadratic.double()
        self._linear = extractor._linear.flatten(0, 1).double()
        self._tril = tuple(index.to(extractor.device) for index in extractor._tril)

    @torch.no_grad()
    def extract(self, mfcc: Tensor, lengths: Tensor) -> Tensor:
        """The i-vectors of whole utterances.

        Args:
            mfcc: float32 [B, T, C], at 16-bit sample scale, not normalised.
            lengths: int64 [B], frames of each utterance.

        Returns:
            float32 [B, S], the prior mean subtracted; zeros for utterances without frames.

        Raises:
            UsageError: features of another dimension, or lengths that do not fit.
        """
        extractor = self._extractor
        if mfcc.dim() != 3 or mfcc.shape[2] != extractor.feature_dim:
            raise UsageError(
                f"The i-vector extractor takes [batch, frames, {extractor.feature_dim}], not "
                f"{[*mfcc.shape]}."
            )
        mfcc = mfcc.to(extractor.device)
        lengths = full_lengths(mfcc, lengths)
        rows = max(1, FRAMES // max(1, mfcc.shape[1]))
        pieces = zip(mfcc.split(rows), lengths.split(rows), strict=True)
        statistics = [self._statistics(*piece) for piece in pieces]
        counts, sums = (torch.cat(parts) for parts in zip(*statistics, strict=True))
        return self._solved(counts, sums)

    def _statistics(self, mfcc: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Counts [B, G] and sums [B, G, D] of the projected frames."""
        extractor = self._extractor
        batch, frames, _ = mfcc.shape
        normalised = extractor.project(self._spliced(extractor.cmvn(mfcc, lengths), lengths))
        inside = torch.arange(frames, device=mfcc.device) < lengths[:, None]
        posteriors = extractor.posteriors(normalised).view(batch, frames, -1) * inside[:, :, None]
        raw = extractor.project(self._spliced(mfcc, lengths)).view(batch, frames, -1)
        return posteriors.sum(dim=1), torch.bmm(posteriors.transpose(1, 2), raw)

    def _spliced(self, features: Tensor, lengths: Tensor) -> Tensor:
        """Each frame with its neighbours, ends repeated: [B, T, C] → [B × T, C × context]."""
        batch, frames, dim = features.shape
        device, config = features.device, self._extractor.config
        context = torch.arange(-config.splice_left, config.splice_right + 1, device=device)
        times = torch.arange(frames, device=device)[:, None] + context
        last = (lengths - 1).clamp(min=0)
        index = torch.minimum(times.clamp(min=0), last[:, None, None])
        index = index + frames * torch.arange(batch, device=device)[:, None, None]
        return features.reshape(-1, dim)[index.view(batch * frames, -1)].flatten(1)

    def _solved(self, counts: Tensor, sums: Tensor) -> Tensor:
        """The most likely i-vectors of statistics; see IvectorExtractor.solve."""
        extractor = self._extractor
        size, limit = extractor.ivector_dim, extractor.config.max_count
        counts, sums = counts.double(), sums.double()
        total = counts.sum(dim=1)
        right = sums.flatten(1) @ self._linear
        prior_scale = total.clamp(min=limit) / limit if limit > 0 else torch.ones_like(total)
        matrix = right.new_zeros(len(counts), size, size)
        matrix[:, self._tril[0], self._tril[1]] = counts @ self._quadratic
        matrix.diagonal(dim1=1, dim2=2).add_(prior_scale[:, None])
        right[:, 0] += extractor.prior_offset * prior_scale
        # the lower half is all that the factorisation reads
        solved = torch.cholesky_solve(right[:, :, None], torch.linalg.cholesky(matrix))[:, :, 0]
        solved[:, 0] -= extractor.prior_offset
        return torch.where(total[:, None] > 0, solved, 0.0).float()
