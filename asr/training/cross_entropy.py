"""Frame cross-entropy on aligned states: the hybrid DNN-HMM's objective."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asr.errors import DataError, UsageError
from asr.training.batch import Batch
from asr.training.objective import Value

IGNORED = -100
"""The target of a frame that is not to be learnt from."""


class CrossEntropy:
    """−log p(pdf | frame), summed over frames that have a target.

    A batch's targets are int64 [N] for each utterance, one pdf for each *output* frame, or
    ``IGNORED``. Padding never counts. Logs ``accuracy``.

    Args:
        head: which output; others than "output" are asked from the network's ``heads``.
        label_smoothing: this much of each target is spread evenly over all pdfs.
    """

    def __init__(self, head: str = "output", label_smoothing: float = 0.0) -> None:
        if not 0 <= label_smoothing < 1:
            raise UsageError(f"label smoothing of {label_smoothing} is not between 0 and 1")
        self.head = head
        self.label_smoothing = label_smoothing

    def __call__(self, network: nn.Module, batch: Batch) -> Value:
        """The value on a batch.

        Raises:
            DataError: targets that do not fit the outputs in number or name pdfs that are not.
        """
        arguments = (batch.feats, batch.ivectors, batch.lengths)
        if self.head == "output":
            outputs, lengths = network(*arguments)
        else:
            heads, lengths = network.heads(*arguments)  # type: ignore[operator]
            outputs = heads[self.head]
        targets = padded_targets(batch, lengths, outputs.shape[1], outputs.shape[2])
        chosen = targets != IGNORED
        # log-softmax of log-probabilities changes nothing, so both kinds of output do
        scores = outputs[chosen].float()
        wanted = targets[chosen]
        loss = F.cross_entropy(
            scores, wanted, reduction="sum", label_smoothing=self.label_smoothing
        )
        right = float((scores.detach().argmax(dim=1) == wanted).sum())
        return Value(loss, len(wanted), {"accuracy": right})


def padded_targets(batch: Batch, lengths: Tensor, frames: int, num_pdfs: int) -> Tensor:
    """The targets of a batch as int64 [B, frames], ``IGNORED`` behind an utterance's end.

    Raises:
        DataError: as :meth:`CrossEntropy.__call__`.
    """
    device = batch.feats.device
    table = torch.full((len(batch), frames), IGNORED, dtype=torch.int64, device=device)
    for row, name, target, length in zip(
        table, batch.ids, batch.targets, lengths.tolist(), strict=True
    ):
        if not isinstance(target, Tensor) or target.dim() != 1 or len(target) != length:
            shape = tuple(target.shape) if isinstance(target, Tensor) else type(target).__name__
            raise DataError(
                f"{name} has targets {shape} for {length} output frames: align it anew with this "
                "network's features and frame subsampling"
            )
        row[:length] = target
    wrong = (table != IGNORED) & ((table < 0) | (table >= num_pdfs))
    if bool(wrong.any()):
        name = batch.ids[int(wrong.any(dim=1).nonzero()[0])]
        raise DataError(
            f"{name} has a target outside the network's {num_pdfs} pdfs: align with the tree that "
            "the network was made for"
        )
    return table
