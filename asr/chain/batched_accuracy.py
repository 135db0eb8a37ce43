"""The expected accuracy of a batch's paths and its gradient, in torch: for GPUs.

The same as :mod:`asr.chain.accuracy_kernels`. A state holds two sums over paths, as [S, 2]: their
probability, and that times the accuracy on the way, which is its derivative where each score grows
by its accuracy; so the product rule gives every step.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from asr.chain.batched import JoinedGraphs


class BatchAccuracy(NamedTuple):
    """logprobs: float64 [B], −inf where there is no path; expected: float64 [B], 0 there;
    posteriors, gradient: [B, N, pdfs], 0 there."""

    logprobs: Tensor
    expected: Tensor
    posteriors: Tensor
    gradient: Tensor


def batch_accuracy(
    graphs: JoinedGraphs, scores: Tensor, lengths: Tensor, accuracy: Tensor
) -> BatchAccuracy:
    """Of each graph's paths through its scores.

    Args:
        graphs: B of them.
        scores: float [B, N, pdfs].
        lengths: int64 [B], frames of each.
        accuracy: float [B, N, pdfs], what a path gains by a pdf in a frame.
    """
    run = _Run(graphs, scores.detach(), lengths.to(scores.device), accuracy)
    run.forward()
    return run.backward()


class _Run:
    """One pass forwards and one backwards; states whose utterance is over stand still."""

    def __init__(
        self, graphs: JoinedGraphs, scores: Tensor, lengths: Tensor, accuracy: Tensor
    ) -> None:
        self._graphs, self._lengths = graphs, lengths
        dtype = graphs.stay.dtype
        best = scores.max(dim=2, keepdim=True).values
        self._best = best[:, :, 0].double()
        self._emit = (scores - best).to(dtype).exp()
        self._accuracy = accuracy.to(dtype)
        self._leaks = bool(graphs.leak.any())

    def _sum(self, values: Tensor) -> Tensor:
        """Over the states of each utterance: [B, …] of [S, …]."""
        zeros = values.new_zeros(len(self._lengths), *values.shape[1:])
        return zeros.index_add_(0, self._graphs.whose, values)

    def _frame(self, frame: int) -> tuple[Tensor, Tensor, Tensor]:
        """[S, 2] of entering each state and of staying in it; [S, 1], its utterance lasts."""
        graphs = self._graphs
        enter, stay = (
            torch.stack((emit, emit * self._accuracy[:, frame][graphs.whose, pdfs]), 1)
            for pdfs in (graphs.forward, graphs.loop)
            for emit in (self._emit[:, frame][graphs.whose, pdfs],)
        )
        lasts = (frame < self._lengths)[graphs.whose, None]
        return enter, stay * graphs.stay[:, None], lasts

    def forward(self) -> None:
        graphs, whose = self._graphs, self._graphs.whose
        tiny = torch.finfo(graphs.stay.dtype).tiny
        now = graphs.stay.new_zeros(len(whose), 2)
        now[graphs.first, 0] = 1.0
        total = self._best.new_zeros(len(self._lengths))
        self._alphas, self._entered = [], []
        for frame in range(self._emit.shape[1]):
            enter, stay, lasts = self._frame(frame)
            if self._leaks:
                leaked = self._sum(now)[whose] * graphs.leak[:, None]
                now = now + torch.where(lasts, leaked, 0.0)
            entered = graphs.into @ now
            self._alphas.append(now)
            self._entered.append(entered)
            moved = _product(entered, enter) + _product(now, stay)
            norm = self._sum(moved[:, 0])
            here = frame < self._lengths
            total = total + torch.where(here, norm.double().log() + self._best[:, frame], 0.0)
            now = torch.where(lasts, moved / norm.clamp(min=tiny)[whose, None], now)
        ending = self._sum(now * graphs.final[:, None])
        self._ending = ending[:, 0]
        self._logprobs = total + self._ending.double().log()
        possible = torch.isfinite(self._logprobs)
        self._expected = torch.where(possible, ending[:, 1] / self._ending.clamp(min=tiny), 0.0)

    def backward(self) -> BatchAccuracy:
        graphs, whose = self._graphs, self._graphs.whose
        tiny = torch.finfo(graphs.stay.dtype).tiny
        possible = torch.isfinite(self._logprobs)[whose]
        now = graphs.final.new_zeros(len(whose), 2)
        now[:, 0] = torch.where(possible, graphs.final / self._ending.clamp(min=tiny)[whose], 0.0)
        found = now.new_zeros(*self._emit.shape, 2)
        for frame in range(self._emit.shape[1] - 1, -1, -1):
            enter, stay, lasts = self._frame(frame)
            arrived, stayed = _product(now, enter), _product(now, stay)
            before = graphs.out @ arrived + stayed
            by_edge = _product(arrived, self._entered[frame])
            by_loop = _product(stayed, self._alphas[frame])
            mass = self._sum((by_edge + by_loop)[:, 0]).clamp(min=tiny)
            scale = torch.where(lasts[:, 0] & possible, 1.0 / mass[whose], 0.0)[:, None]
            row = found[:, frame]
            row.index_put_((whose, graphs.forward), by_edge * scale, accumulate=True)
            row.index_put_((whose, graphs.loop), by_loop * scale, accumulate=True)
            if self._leaks:
                before = before + self._sum(graphs.leak[:, None] * before)[whose]
            now = torch.where(lasts, before / mass[whose, None], now)
        posteriors = found[..., 0]
        gradient = found[..., 1] - self._expected[:, None, None] * posteriors
        return BatchAccuracy(self._logprobs, self._expected.double(), posteriors, gradient)


def _product(one: Tensor, other: Tensor) -> Tensor:
    """Of values with their derivatives, [S, 2] each."""
    value = one[:, 0] * other[:, 0]
    return torch.stack((value, one[:, 0] * other[:, 1] + one[:, 1] * other[:, 0]), 1)
