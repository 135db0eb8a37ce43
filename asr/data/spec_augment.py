"""SpecAugment: bands of frequencies and stretches of time hidden from the network.

Park et al. 2019, "SpecAugment: A Simple Data Augmentation Method for ASR".
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asr.errors import UsageError
from asr.features.deltas import full_lengths, padding_mask


@dataclass(frozen=True, slots=True)
class SpecAugment:
    """Masks and, if asked for, a warp of time; for filterbanks (cepstra have no bands to hide).

    Attributes:
        bands: masks over frequency in each utterance.
        band_width: at most this share of the dimensions in each.
        stretches: masks over time in each utterance.
        stretch_frames: at most this many frames in each.
        stretch_share: and at most this share of the utterance in all of them together.
        warp_frames: a point of time is moved by up to this many frames; 0: none.
    """

    bands: int = 2
    band_width: float = 0.25
    stretches: int = 2
    stretch_frames: int = 40
    stretch_share: float = 0.2
    warp_frames: int = 0

    def __post_init__(self) -> None:
        if min(self.bands, self.stretches, self.stretch_frames, self.warp_frames) < 0:
            raise UsageError("SpecAugment: numbers of masks and frames must not be negative")
        if not (0.0 <= self.band_width <= 1.0 and 0.0 <= self.stretch_share <= 1.0):
            raise UsageError("SpecAugment: band_width and stretch_share are shares, 0 to 1")

    @torch.no_grad()
    def __call__(
        self,
        features: Tensor,
        lengths: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Hide parts of a batch; what is hidden has the utterance's mean.

        Random numbers are drawn on the processor, so that every device gives the same masks.

        Args:
            features: [B, T, D].
            lengths: int64 [B], frames of each utterance; None means all T.
            generator: of the processor; None: torch's own.

        Returns:
            [B, T, D]; zero past an utterance's own frames.

        Raises:
            UsageError: shapes that do not fit.
        """
        lengths = full_lengths(features, lengths)
        if self.warp_frames:
            features = self._warped(features, lengths, generator)
        past = padding_mask(lengths, features.shape[1])
        counts = lengths.clamp(min=1).view(-1, 1, 1)
        mean = features.masked_fill(past, 0.0).sum(1, keepdim=True) / counts
        hidden = self._hidden(features.shape, lengths.cpu(), generator).to(features.device)
        return torch.where(hidden, mean.to(features.dtype), features).masked_fill(past, 0.0)

    def _hidden(
        self, shape: torch.Size, lengths: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Bool [B, T, D]."""
        batch, frames, dim = shape
        widest = torch.full((batch, self.bands), int(self.band_width * dim))
        bands = _intervals(widest, torch.full((batch,), dim), dim, generator)
        share = (self.stretch_share * lengths / max(1, self.stretches)).long()
        longest = share.clamp(max=self.stretch_frames)[:, None].expand(-1, self.stretches)
        stretches = _intervals(longest, lengths, frames, generator)
        return bands[:, None, :] | stretches[:, :, None]

    def _warped(
        self, features: Tensor, lengths: Tensor, generator: torch.Generator | None
    ) -> Tensor:
        """Move a point of each utterance in time, and what lies before and after along with it."""
        rows = []
        draws = torch.rand(len(features), 2, generator=generator).tolist()
        for row, length, (place, shift) in zip(features, lengths.tolist(), draws, strict=True):
            reach = min(self.warp_frames, (length - 3) // 2)
            if reach < 1:
                rows.append(row)
                continue
            centre = reach + 1 + int(place * (length - 2 * reach - 2))
            target = centre + round((2 * shift - 1) * reach)
            rows.append(
                torch.cat(
                    [
                        _resized(row[:centre], target),
                        _resized(row[centre:length], length - target),
                        row[length:],
                    ]
                )
            )
        return torch.stack(rows) if rows else features


def _intervals(
    longest: Tensor, ends: Tensor, size: int, generator: torch.Generator | None
) -> Tensor:
    """The union of random intervals in each row: bool [B, size].

    Args:
        longest: int64 [B, M]; an interval has 0 to this many places.
        ends: int64 [B]; it lies before this place.
    """
    draws = torch.rand(*longest.shape, 2, generator=generator)
    width = (draws[..., 0] * (longest + 1)).long().minimum(longest)
    start = (draws[..., 1] * (ends[:, None] - width + 1)).long()
    places = torch.arange(size)
    inside = (places >= start[..., None]) & (places < (start + width)[..., None])
    return inside.any(1)


def _resized(frames: Tensor, count: int) -> Tensor:
    """Linear interpolation of [T, D] to [count, D]."""
    if len(frames) == count:
        return frames
    stretched = torch.nn.functional.interpolate(
        frames.t()[None], size=count, mode="linear", align_corners=False
    )
    return stretched[0].t()
