"""What a network is trained for: a function of the network and a batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor, nn

from asr.training.batch import Batch


@dataclass(frozen=True, slots=True, eq=False)
class Value:
    """An objective's value on a batch.

    Attributes:
        loss: scalar, the SUM over frames, to be minimised; the trainer divides by the frames of
            all batches of a step (in all processes), so that how utterances are spread over
            batches and processes changes nothing.
        frames: what it is normalised by, such as output frames that had a target. 0 if the batch
            held nothing that could be learnt from; the loss is 0 then.
        stats: sums over the same frames, for logs; they are printed divided by ``frames``.
        failed: utterances of the batch that could not be used (no path through the text, too
            short, …), by id.
    """

    loss: Tensor
    frames: int
    stats: dict[str, float] = field(default_factory=dict)
    failed: tuple[str, ...] = ()


class Objective(Protocol):
    """Called by the trainer with the network and a batch on the network's device.

    It runs the network itself (``network(...)``, or ``network.heads(...)`` for the auxiliary
    outputs), so that it may read any of its outputs. An objective with parameters of its own is an
    ``nn.Module``; the trainer trains and stores them with the network's.
    """

    def __call__(self, network: nn.Module, batch: Batch) -> Value:
        """The value on ``batch``; ``loss`` has a gradient when gradients are enabled."""
        ...
