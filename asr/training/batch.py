"""What a training step sees: utterances as features, i-vectors and whatever the objective reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from asr.errors import DataError


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One utterance.

    Attributes:
        id: its name, for messages.
        feats: float32 [T, D], on the CPU.
        ivector: float32 [I], or None where the network takes none.
        target: what the objective understands: pdf ids, a supervision graph, …
    """

    id: str
    feats: Tensor
    ivector: Tensor | None = None
    target: Any = None

    @property
    def frames(self) -> int:
        """Feature frames T."""
        return len(self.feats)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Utterances side by side.

    Attributes:
        ids: their names, B of them.
        feats: float32 [B, T, D]; behind an utterance's length 0.
        lengths: int64 [B], feature frames.
        ivectors: float32 [B, I] or None.
        targets: the examples' targets as they are, B of them.
    """

    ids: tuple[str, ...]
    feats: Tensor
    lengths: Tensor
    ivectors: Tensor | None
    targets: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> Batch:
        """The batch with its tensors there; targets that are tensors, or have ``to``, go too."""
        return replace(
            self,
            feats=self.feats.to(device, non_blocking=True),
            lengths=self.lengths.to(device, non_blocking=True),
            ivectors=None if self.ivectors is None else self.ivectors.to(device),
            targets=tuple(t.to(device) if hasattr(t, "to") else t for t in self.targets),
        )


def collate(examples: Sequence[Example]) -> Batch:
    """Examples to a batch, padded by zeros to the longest.

    Raises:
        DataError: no examples, or features or i-vectors of different widths, or i-vectors for some
            examples only.
    """
    if not examples:
        raise DataError("a batch needs at least one utterance")
    width = examples[0].feats.shape[1]
    for example in examples:
        if example.feats.dim() != 2 or example.feats.shape[1] != width:
            raise DataError(
                f"{example.id} has features of shape {tuple(example.feats.shape)}, not "
                f"[frames, {width}] like {examples[0].id}: make all features with one configuration"
            )
    lengths = torch.tensor([example.frames for example in examples], dtype=torch.int64)
    feats = torch.zeros(len(examples), int(lengths.max()), width)
    for row, example in zip(feats, examples, strict=True):
        row[: example.frames] = example.feats
    return Batch(
        ids=tuple(example.id for example in examples),
        feats=feats,
        lengths=lengths,
        ivectors=_ivectors(examples),
        targets=tuple(example.target for example in examples),
    )


def _ivectors(examples: Sequence[Example]) -> Tensor | None:
    have = [example.ivector for example in examples if example.ivector is not None]
    if not have:
        return None
    if len(have) != len(examples) or len({vector.shape for vector in have}) > 1:
        missing = next((e.id for e in examples if e.ivector is None), examples[0].id)
        raise DataError(
            f"{missing} has no i-vector, or one of another width than its neighbours: extract "
            "the i-vectors of all utterances with one extractor"
        )
    return torch.stack(have)
