"""CTC on the same graphs: a phone is one frame, and blank until the next.

A. Graves et al., "Connectionist temporal classification", 2006; here without repeated labels, as
the "selfless" topologies of A. Laptev et al., "CTC variations through new WFST topologies", 2022:
the HMM of a phone whose first frame is scored by a pdf of its own has the blank as the pdf of all
further frames, so lexicon graph and search are those of every other model. Outputs are normalised
in each frame, and the loss is −log of the sum over all ways to say the text, at all times.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from asr.chain.hmm_graph import HmmGraph, from_edges
from asr.chain.numerator import numerator
from asr.chain.objective import attached
from asr.chain.phone_lm import EDGE, History, PhoneLm
from asr.chain.prepared import PreparedGraph
from asr.graph.lexicon import SILENCE
from asr.hangul.phones import PHONES
from asr.hmm.context import ContextTree
from asr.hmm.topology import NUM_PHONES, SILENCE_ID
from asr.training.batch import Batch
from asr.training.objective import Value

BLANK = 0
"""Its pdf; a phone's is its number among the speech phones, from 1."""
NUM_PDFS = 1 + len(PHONES)


def ctc_tree() -> ContextTree:
    """The pdfs of own phones, the same in any context; a pause is blank."""
    size = NUM_PHONES + 1
    phones = np.arange(size)
    forward = np.where(phones == SILENCE_ID, BLANK, phones - SILENCE_ID)
    pdf = np.full((size, size, 2), BLANK, np.int32)
    pdf[:, :, 0] = forward
    pdf[:, 0] = -1  # there is no phone 0
    return ContextTree(pdf, pdf[:, :, 0] >= 0)


def said(graph: HmmGraph, phones: Sequence[str]) -> HmmGraph:
    """The ways to say a text: each sequence of phones once, pauses left to the blank.

    Args:
        graph: of :meth:`asr.chain.supervision.TextSupervision.graph`, with pdfs of a CTC model.
        phones: what each of its states speaks.

    Raises:
        DataError: there is no way to say it.
    """
    free = _AnyPhone((), {(): dict.fromkeys((*PHONES, SILENCE, EDGE), 1.0)})
    return numerator(_without_pauses(graph, phones), phones, free)


class CtcObjective:
    """The loss of a batch whose targets are prepared graphs of :func:`said`."""

    def __call__(self, network: nn.Module, batch: Batch) -> Value:
        """See :class:`asr.training.objective.Objective`."""
        outputs, lengths = network(batch.feats, batch.ivectors, batch.lengths)
        if not bool(torch.isfinite(outputs).all()):  # no path says so: the trainer has to see it
            nothing = attached(outputs, torch.zeros_like(outputs), math.nan)
            return Value(loss=nothing, frames=int(lengths.sum()), stats={"ctc": math.nan})
        logprobs = outputs.float().log_softmax(dim=2)
        rows = np.ascontiguousarray(logprobs.detach().cpu().numpy())
        posteriors = np.zeros_like(rows)
        total, frames, failed = 0.0, 0, []
        targets = cast(tuple[PreparedGraph, ...], batch.targets)
        for place, (target, length) in enumerate(zip(targets, lengths.tolist(), strict=True)):
            value = target.add(rows[place, :length], posteriors[place, :length], 1.0)
            if np.isfinite(value):
                total, frames = total + value, frames + length
            else:
                failed.append(batch.ids[place])
        gradient = torch.from_numpy(posteriors).to(logprobs)
        loss: Tensor = -attached(logprobs, gradient, total)
        return Value(loss=loss, frames=frames, stats={"ctc": total}, failed=tuple(failed))


class _AnyPhone(PhoneLm):
    """Every phone is as likely as any other, whatever was before."""

    def after(self, history: History, phone: str) -> History | None:
        return ()


def _without_pauses(graph: HmmGraph, phones: Sequence[str]) -> HmmGraph:
    """The graph with ways round its pauses in place of them; state 0 stays, whatever it speaks."""
    pause = np.array([phone == SILENCE for phone in phones])
    pause[0] = False
    source, target = graph.edge_source.astype(np.int64), graph.edge_target
    edges = set(zip(source.tolist(), target.tolist(), strict=True))
    final = graph.final_cost.copy()
    for state in np.flatnonzero(pause).tolist():
        before = [a for a, b in edges if b == state and a != state]
        after = [b for a, b in edges if a == state and b != state]
        edges = {(a, b) for a, b in edges if state not in (a, b)}
        edges |= {(a, b) for a in before for b in after}
        if np.isfinite(final[state]):
            final[before] = np.minimum(final[before], final[state])
        final[state] = np.inf
    ordered = np.array(sorted(edges), np.int64).reshape(-1, 2)
    costs = np.zeros(len(ordered), np.float32)
    return from_edges(graph.forward, graph.loop, np.zeros(graph.states, np.float32),
                      (ordered[:, 0], ordered[:, 1], costs), final)  # fmt: skip
