"""Sums over all paths for a whole batch at once, in torch: for GPUs.

The same sums as :mod:`asr.chain.kernels`, which are faster on a CPU. Graphs are laid side by side
as one: a step along the edges of all utterances is one product with a sparse matrix.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from asr.chain.prepared import PreparedGraph


class JoinedGraphs(NamedTuple):
    """S states of B graphs side by side.

    into: sparse [S, S], weight of the edge from a column's state to a row's; out: its transpose.
    forward, loop: int64 [S], pdfs. stay, final, leak: float [S]. whose: int64 [S], the graph's
    number. first: int64 [B], the graph's state that is occupied before the first frame.
    """

    into: Tensor
    out: Tensor
    forward: Tensor
    loop: Tensor
    stay: Tensor
    final: Tensor
    leak: Tensor
    whose: Tensor
    first: Tensor


def joined(
    graphs: Sequence[PreparedGraph], device: torch.device | str, dtype: torch.dtype
) -> JoinedGraphs:
    """Lay graphs side by side."""
    sizes = torch.tensor([graph.graph.states for graph in graphs])
    first = torch.cumsum(sizes, 0) - sizes
    columns: list[list[Tensor]] = [[] for _ in range(7)]
    begin, edges = [torch.zeros(1, dtype=torch.int64)], 0
    for graph, offset in zip(graphs, first.tolist(), strict=True):
        forward, loop, stay, edge_begin, source, weight, final, leak = (
            torch.from_numpy(array) for array in graph.arrays
        )
        begin.append(edge_begin[1:] + edges)
        edges += len(source)
        for column, part in zip(
            columns, (forward, loop, stay, source + offset, weight, final, leak), strict=True
        ):
            column.append(part)
    forward, loop, stay, source, weight, final, leak = (
        torch.cat(column).to(device) for column in columns
    )
    states = len(forward)
    with warnings.catch_warnings():  # that torch calls sparse matrices beta
        warnings.simplefilter("ignore", UserWarning)
        into = torch.sparse_csr_tensor(
            torch.cat(begin).to(device), source.to(torch.int64), weight.to(dtype), (states, states),
            check_invariants=False,
        )  # fmt: skip
    return JoinedGraphs(
        into=into,
        out=_transposed(into),
        forward=forward.to(torch.int64),
        loop=loop.to(torch.int64),
        stay=stay.to(dtype),
        final=final.to(dtype),
        leak=leak.to(dtype),
        whose=torch.repeat_interleave(torch.arange(len(graphs)), sizes).to(device),
        first=first.to(device),
    )


def _transposed(matrix: Tensor) -> Tensor:
    return matrix.to_sparse_coo().t().coalesce().to_sparse_csr()


class BatchSums(NamedTuple):
    """logprobs: float64 [B], −inf where there is no path; posteriors: [B, N, pdfs], 0 there."""

    logprobs: Tensor
    posteriors: Tensor


def batch_sums(graphs: JoinedGraphs, scores: Tensor, lengths: Tensor) -> BatchSums:
    """Sum over all paths of each graph through its scores.

    Args:
        graphs: B of them.
        scores: float [B, N, pdfs].
        lengths: int64 [B], frames of each.
    """
    run = _Run(graphs, scores.detach(), lengths.to(scores.device))
    run.forward()
    return BatchSums(run.logprobs, run.backward())


class _Run:
    """One pass forwards and one backwards; states whose utterance is over stand still."""

    def __init__(self, graphs: JoinedGraphs, scores: Tensor, lengths: Tensor) -> None:
        self._graphs, self._scores, self._lengths = graphs, scores, lengths
        self._dtype = graphs.stay.dtype
        best = scores.max(dim=2, keepdim=True).values
        self._best = best[:, :, 0].double()
        self._emit = (scores - best).to(self._dtype).exp()
        self._leaks = bool(graphs.leak.any())

    def _sum(self, values: Tensor) -> Tensor:
        """Over the states of each utterance: [B]."""
        return values.new_zeros(len(self._lengths)).index_add_(0, self._graphs.whose, values)

    def _frame(self, frame: int) -> tuple[Tensor, Tensor, Tensor]:
        """Emission of each state on entering it and staying in it; whether its utterance lasts."""
        graphs = self._graphs
        emit = self._emit[:, frame]
        lasts = (frame < self._lengths)[graphs.whose]
        stay = graphs.stay * emit[graphs.whose, graphs.loop]
        return emit[graphs.whose, graphs.forward], stay, lasts

    def forward(self) -> None:
        graphs, whose = self._graphs, self._graphs.whose
        now = graphs.stay.new_zeros(len(whose))
        now[graphs.first] = 1.0
        total = self._best.new_zeros(len(self._lengths))
        self._alphas, self._entered = [], []
        for frame in range(self._scores.shape[1]):
            enter, stay, lasts = self._frame(frame)
            if self._leaks:
                now = now + torch.where(lasts, self._sum(now)[whose] * graphs.leak, 0.0)
            entered = graphs.into @ now
            self._alphas.append(now)
            self._entered.append(entered)
            moved = entered * enter + now * stay
            norm = self._sum(moved)
            here = frame < self._lengths
            total = total + torch.where(here, norm.double().log() + self._best[:, frame], 0.0)
            moved = moved / norm.clamp(min=torch.finfo(self._dtype).tiny)[whose]
            now = torch.where(lasts, moved, now)
        ending = self._sum(now * graphs.final)
        self.logprobs = total + ending.double().log()
        self._ending = ending

    def backward(self) -> Tensor:
        graphs, whose = self._graphs, self._graphs.whose
        tiny = torch.finfo(self._dtype).tiny
        possible = torch.isfinite(self.logprobs)[whose]
        now = torch.where(possible, graphs.final / self._ending.clamp(min=tiny)[whose], 0.0)
        posteriors = torch.zeros_like(self._emit)
        for frame in range(self._scores.shape[1] - 1, -1, -1):
            enter, stay, lasts = self._frame(frame)
            arrived = now * enter
            before = graphs.out @ arrived + now * stay
            by_edge = arrived * self._entered[frame]
            by_loop = now * stay * self._alphas[frame]
            mass = self._sum(by_edge + by_loop).clamp(min=tiny)
            scale = torch.where(lasts & possible, 1.0 / mass[whose], 0.0)
            row = posteriors[:, frame]
            row.index_put_((whose, graphs.forward), by_edge * scale, accumulate=True)
            row.index_put_((whose, graphs.loop), by_loop * scale, accumulate=True)
            if self._leaks:
                before = before + self._sum(graphs.leak * before)[whose]
            now = torch.where(lasts, before / mass[whose], now)
        return posteriors
