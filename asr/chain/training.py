"""LF-MMI as the trainer takes it, with what keeps it from overfitting."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from asr.chain.hmm_graph import HmmGraph
from asr.chain.objective import LfMmiConfig, LfMmiLoss, MmiResult, Target
from asr.errors import ModelError
from asr.training.batch import Batch
from asr.training.objective import Value

OUTPUT, XENT = "output", "output-xent"


class LfMmiObjective:
    """The loss of a batch of targets (:class:`~asr.chain.objective.Target`).

    To be minimised, summed over output frames: ``mmi`` · (denominator − numerator), − ``smbr`` ·
    expected state accuracy, + ``l2`` / 2 · Σ output², − ``xent`` · Σ posterior · log-softmax of the
    second head, where the network has one.

    Args:
        denominator: of :func:`asr.chain.denominator.denominator`.
        config: options.
    """

    def __init__(self, denominator: HmmGraph, config: LfMmiConfig | None = None) -> None:
        self.config = config or LfMmiConfig()
        self._loss = LfMmiLoss(denominator, self.config)

    def __call__(self, network: nn.Module, batch: Batch) -> Value:
        """See :class:`asr.training.objective.Objective`.

        Raises:
            ModelError: the network has other pdfs than the denominator.
        """
        heads, lengths = self._heads(network, batch)
        outputs = heads[OUTPUT]
        if outputs.shape[2] < self._loss.num_pdfs:
            raise ModelError(
                f"the network has {outputs.shape[2]} outputs and the denominator needs "
                f"{self._loss.num_pdfs}: build it with the network's context tree"
            )
        numerators = cast(tuple[Target, ...], batch.targets)
        result = self._loss(outputs, lengths, numerators)
        loss = -result.attached(outputs)
        stats = {"mmi": result.numerator - result.denominator}
        if self.config.smbr:
            stats["accuracy"] = result.accuracy
        used = result.used.to(outputs.device)
        inside = torch.arange(outputs.shape[1], device=outputs.device) < lengths[:, None]
        inside = inside & used[:, None]
        if self.config.l2:
            loss = loss + 0.5 * self.config.l2 * outputs.square().sum(dim=2)[inside].sum()
        if self.config.xent and XENT in heads:
            loss = loss + self.config.xent * _cross_entropy(heads[XENT], result, stats)
        usable = zip(batch.ids, result.used.tolist(), strict=True)
        failed = tuple(name for name, good in usable if not good)
        return Value(loss=loss, frames=result.frames, stats=stats, failed=failed)

    def _heads(self, network: nn.Module, batch: Batch) -> tuple[dict[str, Tensor], Tensor]:
        inputs = (batch.feats, batch.ivectors, batch.lengths)
        heads_of = getattr(network, "heads", None)
        if self.config.xent and heads_of is not None:
            heads, lengths = heads_of(*inputs)
            return heads, lengths
        outputs, lengths = network(*inputs)
        return {OUTPUT: outputs}, lengths


def _cross_entropy(logprobs: Tensor, result: MmiResult, stats: dict[str, float]) -> Tensor:
    assert result.posteriors is not None  # they are kept where xent is not 0
    loss = -(result.posteriors * logprobs).sum()
    stats["xent"] = float(loss.detach())
    return loss
