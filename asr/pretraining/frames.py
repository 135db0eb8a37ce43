"""Frames of many utterances in memory, normalised, from which windows are drawn at random."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from asr.errors import AudioError, DataError, UsageError

log = logging.getLogger(__name__)

_SMALLEST = 1e-5  # deviation: a coefficient that never changes is not blown up


@dataclass(frozen=True, slots=True, eq=False)
class FramePool:
    """The frames, in the order of utterances.

    Attributes:
        ids: names of the utterances.
        feats: float32 [N, D], of mean 0 and deviation 1 in each dimension.
        first, last: int64 [N], where the utterance of each frame begins and ends (inclusive).
        mean, deviation: float32 [D], what was subtracted and divided by.
        context: frames to either side of a window's middle.
    """

    ids: tuple[str, ...]
    feats: Tensor
    first: Tensor
    last: Tensor
    mean: Tensor
    deviation: Tensor
    context: int

    def __len__(self) -> int:
        return len(self.feats)

    @property
    def width(self) -> int:
        """Of a window: (2 context + 1) D."""
        return (2 * self.context + 1) * self.feats.shape[1]

    def windows(self, frames: Tensor) -> Tensor:
        """Windows around frames, int64 [n] → float32 [n, width]; utterances' ends are repeated."""
        offsets = torch.arange(-self.context, self.context + 1, device=frames.device)
        times = frames[:, None] + offsets
        times = times.maximum(self.first[frames, None]).minimum(self.last[frames, None])
        return self.feats[times].flatten(1)

    def shuffled(self, size: int, seed: int, epoch: int) -> Iterator[Tensor]:
        """Every frame once, in batches of ``size`` numbers, int64; a last short one is left out."""
        generator = torch.Generator().manual_seed(1_000_003 * seed + epoch)
        order = torch.randperm(len(self), generator=generator).to(self.feats.device)
        for start in range(0, len(order) - size + 1, size):
            yield order[start : start + size]

    def to(self, device: torch.device | str) -> FramePool:
        """The pool on a device."""
        return replace(
            self,
            feats=self.feats.to(device),
            first=self.first.to(device),
            last=self.last.to(device),
            mean=self.mean.to(device),
            deviation=self.deviation.to(device),
        )

    def utterances(self) -> Iterator[tuple[str, Tensor]]:
        """Names and features as they were given: float32 [T, D]."""
        starts = self.first.unique_consecutive().tolist()
        for name, start, end in zip(self.ids, starts, [*starts[1:], len(self)], strict=True):
            yield name, self.feats[start:end] * self.deviation + self.mean


def gather_frames(
    ids: Sequence[str],
    feats: Callable[[str], Tensor],
    context: int,
    max_frames: int = 2_000_000,
    seed: int = 0,
) -> FramePool:
    """Read utterances into a pool.

    Args:
        ids: their names.
        feats: from a name to float32 [T, D]. It may raise AudioError or DataError for an utterance
            that cannot be used, which is then left out.
        context: frames to either side of a window's middle.
        max_frames: where the utterances have more, no further ones are read; which ones come first
            is drawn at random.
        seed: of that.

    Raises:
        DataError: no frames.
        UsageError: a negative context or no frames asked for.
    """
    if context < 0 or max_frames < 1:
        raise UsageError("the context cannot be negative, and max_frames must be at least 1")
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(seed))
    pieces: dict[str, Tensor] = {}
    failed: list[str] = []
    total = 0
    for number in order.tolist():
        if total >= max_frames:
            break
        try:
            piece = feats(ids[number])
        except (AudioError, DataError) as error:
            failed.append(f"{ids[number]}: {error}")
            continue
        if len(piece):
            pieces[ids[number]] = piece[: max_frames - total]
            total += len(pieces[ids[number]])
    if failed:
        log.warning("%d utterances were left out; the first is %s", len(failed), failed[0])
    if not pieces:
        raise DataError("there is no speech to learn from: give sound files that can be read")
    return _pool(pieces, context)


def _pool(pieces: Mapping[str, Tensor], context: int) -> FramePool:
    feats = torch.cat(list(pieces.values())).float()
    mean = feats.mean(dim=0, dtype=torch.float64)
    square = sum((p.double() - mean).square().sum(dim=0) for p in feats.split(1 << 16))
    deviation = (square / len(feats)).sqrt().clamp(min=_SMALLEST)
    lengths = torch.tensor([len(piece) for piece in pieces.values()])
    ends = lengths.cumsum(0)
    return FramePool(
        ids=tuple(pieces),
        feats=feats.sub_(mean.float()).div_(deviation.float()),
        first=(ends - lengths).repeat_interleave(lengths),
        last=(ends - 1).repeat_interleave(lengths),
        mean=mean.float(),
        deviation=deviation.float(),
        context=context,
    )
