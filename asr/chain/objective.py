"""LF-MMI: the log-probability of what was said, less that of everything that might have been.

Povey et al. 2016, "Purely sequence-trained neural networks for ASR based on lattice-free MMI"; on
whole utterances and with all ways to say a text in the numerator, as Hadian et al. 2018,
"End-to-end speech recognition using lattice-free MMI".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.chain.batched import BatchSums, JoinedGraphs, batch_sums, joined
from asr.chain.hmm_graph import HmmGraph
from asr.chain.prepared import PreparedGraph
from asr.errors import UsageError


@dataclass(frozen=True, slots=True)
class LfMmiConfig:
    """Options of the objective.

    Attributes:
        leaky: of the denominator's leaky HMM (Kaldi's leaky-hmm-coefficient).
        l2: of the outputs, a frame: keeps them from drifting, as only differences count.
        xent: weight of cross-entropy of the second head with the numerator's posteriors.
        threads: over utterances, on the CPU; 0: as many as torch has.
        batched: sum in torch, all utterances at once, for outputs on a GPU ("cuda"), "always" or
            "never"; else on the CPU, utterance by utterance.
    """

    leaky: float = 1e-5
    l2: float = 5e-5
    xent: float = 0.1
    threads: int = 0
    batched: Literal["cuda", "always", "never"] = "cuda"

    def __post_init__(self) -> None:
        if min(self.leaky, self.l2, self.xent, self.threads) < 0:
            raise UsageError("leaky, l2, xent and threads may not be below 0")
        if self.batched not in ("cuda", "always", "never"):
            raise UsageError(f"batched is {self.batched!r}; choose cuda, always or never")


class Target(Protocol):
    """What an utterance is trained for: a graph of what was said, or what a teacher heard."""

    def add(
        self, scores: NDArray[np.floating], posteriors: NDArray[np.floating], factor: float
    ) -> float:
        """As :meth:`PreparedGraph.add`."""
        ...


class LfMmiLoss:
    """The denominator with its options: differences of log-probabilities and their gradients."""

    def __init__(self, denominator: HmmGraph, config: LfMmiConfig | None = None) -> None:
        self.config = config or LfMmiConfig()
        self._denominator = PreparedGraph(denominator, self.config.leaky)
        self.num_pdfs = denominator.num_pdfs
        self._joined: tuple[tuple[int, torch.device], JoinedGraphs] | None = None

    def __call__(
        self, outputs: Tensor, lengths: Tensor, numerators: Sequence[Target]
    ) -> MmiResult:
        """Of a batch.

        Args:
            outputs: float [B, N, pdfs], on any device.
            lengths: int64 [B], frames of each.
            numerators: [B].
        """
        if not bool(torch.isfinite(outputs).all()):
            return _not_finite(outputs, lengths)
        batched = self.config.batched == "always" or (
            self.config.batched == "cuda" and outputs.is_cuda
        )
        sums = self._in_torch if batched else self._in_kernels
        said, others = sums(outputs, lengths, numerators)
        used = torch.isfinite(said.logprobs) & torch.isfinite(others.logprobs)
        gradient = (said.posteriors - others.posteriors) * used[:, None, None]
        posteriors = said.posteriors * used[:, None, None] if self.config.xent else None
        return MmiResult(
            numerator=float(said.logprobs[used].sum()),
            denominator=float(others.logprobs[used].sum()),
            frames=int(lengths.to(used.device)[used].sum()),
            used=used.cpu(),
            gradient=gradient.to(outputs.device, outputs.dtype),
            posteriors=None if posteriors is None else posteriors.to(outputs.device, outputs.dtype),
        )

    def _in_torch(
        self, outputs: Tensor, lengths: Tensor, numerators: Sequence[Target]
    ) -> tuple[BatchSums, BatchSums]:
        """On the outputs' device."""
        kind = torch.float64  # float32 runs out of range where scores lie far apart
        count = len(numerators)
        if self._joined is None or self._joined[0] != (count, outputs.device):
            graphs = joined([self._denominator] * count, outputs.device, kind)
            self._joined = ((count, outputs.device), graphs)
        graphs_alone = [one for one in numerators if isinstance(one, PreparedGraph)]
        if len(graphs_alone) == count:
            said = batch_sums(joined(graphs_alone, outputs.device, kind), outputs, lengths)
        else:  # small beside the denominator
            said = _added(outputs, lengths, numerators)
        return said, batch_sums(self._joined[1], outputs, lengths)

    def _in_kernels(
        self, outputs: Tensor, lengths: Tensor, numerators: Sequence[Target]
    ) -> tuple[BatchSums, BatchSums]:
        """On the CPU, in float64, an utterance a thread."""
        rows = outputs.detach().cpu().numpy()
        sizes = lengths.tolist()
        said, others = np.zeros_like(rows), np.zeros_like(rows)

        def one(place: int) -> tuple[float, float]:
            scores = np.ascontiguousarray(rows[place, : sizes[place]])
            here = said[place, : len(scores)], others[place, : len(scores)]
            numerator = numerators[place].add(scores, here[0], 1.0)
            if not np.isfinite(numerator):
                return -np.inf, -np.inf
            return numerator, self._denominator.add(scores, here[1], 1.0)

        threads = min(self.config.threads or torch.get_num_threads(), len(rows))
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                logprobs = list(pool.map(one, range(len(rows))))
        else:
            logprobs = [one(place) for place in range(len(rows))]
        pairs = torch.tensor(logprobs, dtype=torch.float64).reshape(-1, 2)
        return (
            BatchSums(pairs[:, 0], torch.from_numpy(said)),
            BatchSums(pairs[:, 1], torch.from_numpy(others)),
        )


def _added(outputs: Tensor, lengths: Tensor, targets: Sequence[Target]) -> BatchSums:
    """Of targets of any kind, one after the other on the CPU."""
    rows = outputs.detach().double().cpu().numpy()
    posteriors = np.zeros_like(rows)
    logprobs = [
        target.add(np.ascontiguousarray(row[:length]), into[:length], 1.0)
        for target, row, into, length in zip(
            targets, rows, posteriors, lengths.tolist(), strict=True
        )
    ]
    return BatchSums(
        torch.tensor(logprobs, dtype=torch.float64, device=outputs.device),
        torch.from_numpy(posteriors).to(outputs.device),
    )


def _not_finite(outputs: Tensor, lengths: Tensor) -> MmiResult:
    """Of outputs that are no numbers: neither is the objective, so that the trainer sees it."""
    return MmiResult(
        numerator=math.nan,
        denominator=math.nan,
        frames=int(lengths.sum()),
        used=torch.ones(len(lengths), dtype=torch.bool),
        gradient=torch.zeros_like(outputs),
        posteriors=torch.zeros_like(outputs),
    )


@dataclass(frozen=True, slots=True, eq=False)
class MmiResult:
    """Of a batch: log-probabilities summed over utterances, and the gradient of their difference.

    Attributes:
        numerator, denominator: natural logs.
        frames: of the utterances that count.
        used: bool [B] (CPU); false for utterances too short for their text, which do not count.
        gradient: float [B, N, pdfs], of numerator − denominator by the outputs.
        posteriors: float [B, N, pdfs], of the numerator, where they are needed.
    """

    numerator: float
    denominator: float
    frames: int
    used: Tensor
    gradient: Tensor
    posteriors: Tensor | None

    def attached(self, outputs: Tensor) -> Tensor:
        """numerator − denominator as a scalar whose gradient by ``outputs`` is ``gradient``."""
        return attached(outputs, self.gradient, self.numerator - self.denominator)


def attached(outputs: Tensor, gradient: Tensor, value: float) -> Tensor:
    """A scalar of this value whose gradient by ``outputs`` is ``gradient``."""
    scalar: Tensor = _Attached.apply(outputs, gradient, value)
    return scalar


class _Attached(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, outputs: Tensor, gradient: Tensor, value: float) -> Tensor:
        context.save_for_backward(gradient)
        return outputs.new_tensor(value)

    @staticmethod
    def backward(context: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = context.saved_tensors
        return grads[0] * gradient, None, None
