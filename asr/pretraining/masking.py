"""Which frames are hidden from a network that is to guess them (wav2vec 2.0, HuBERT)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asr.errors import UsageError


@dataclass(frozen=True, slots=True)
class MaskConfig:
    """Spans of hidden frames.

    Attributes:
        start_share: part of the frames at which a span begins; spans may overlap.
        span: their length in feature frames. HuBERT's are of 200 ms; a TDNN-F sees less far, and
            what is too far away cannot be guessed.
    """

    start_share: float = 0.05
    span: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.start_share < 1 or self.span < 1:
            raise UsageError("a mask needs 0 < start_share < 1 and a span of at least 1 frame")


def span_mask(length: int, config: MaskConfig, generator: torch.Generator | None = None) -> Tensor:
    """Draw the frames of an utterance that are hidden.

    An utterance of more than ``span`` frames has at least one span, whole; of a shorter one the
    later half is hidden.

    Args:
        length: frames of the utterance.
        config: options.
        generator: what is drawn from, on the CPU; None: torch's own.

    Returns:
        bool [length], on the CPU.
    """
    mask = torch.zeros(length, dtype=torch.bool)
    places = length - config.span + 1
    if places < 2:
        mask[length // 2 :] = True
        return mask
    # rounded up or down by chance, so that the share is right for short utterances too
    count = int(config.start_share * length + float(torch.rand((), generator=generator)))
    starts = torch.randperm(places, generator=generator)[: max(1, count)]
    mask[(starts[:, None] + torch.arange(config.span)).flatten()] = True
    return mask
