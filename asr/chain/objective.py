"""LF-MMI: the log-probability of what was said, less that of everything that might have been.

Povey et al. 2016, "Purely sequence-trained neural networks for ASR based on lattice-free MMI"; on
whole utterances and with all ways to say a text in the numerator, as Hadian et al. 2018,
"End-to-end speech recognition using lattice-free MMI".

Beside it or in its place, lattice-free sMBR (see :mod:`asr.chain.accuracy_kernels`): in how many
frames a path of the denominator is expected to be in the right pdf. Right is what the numerator's
posteriors say; these are held fixed in the gradient, as the reference alignment of lattice-based
sMBR is.
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
from asr.chain.batched_accuracy import BatchAccuracy, batch_accuracy
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
        mmi: weight of LF-MMI.
        smbr: weight of the expected state accuracy (sMBR), for networks that LF-MMI has trained.
        threads: over utterances, on the CPU; 0: as many as torch has.
        batched: sum in torch, all utterances at once, for outputs on a GPU ("cuda"), "always" or
            "never"; else on the CPU, utterance by utterance.
    """

    leaky: float = 1e-5
    l2: float = 5e-5
    xent: float = 0.1
    mmi: float = 1.0
    smbr: float = 0.0
    threads: int = 0
    batched: Literal["cuda", "always", "never"] = "cuda"

    def __post_init__(self) -> None:
        if min(self.leaky, self.l2, self.xent, self.mmi, self.smbr, self.threads) < 0:
            raise UsageError("leaky, l2, xent, mmi, smbr and threads may not be below 0")
        if not self.mmi + self.smbr > 0:
            raise UsageError("mmi and smbr are both 0: there is nothing to train for")
        if self.batched not in ("cuda", "always", "never"):
            raise UsageError(f"batched is {self.batched!r}; choose cuda, always or never")

    @property
    def name(self) -> str:
        """Of the objective, as a model keeps it."""
        parts = {"LF-MMI": self.mmi, "lattice-free sMBR": self.smbr}
        return " + ".join(part for part, weight in parts.items() if weight)


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
        gradient = self.config.mmi * (said.posteriors - others.posteriors)
        if self.config.smbr:
            gradient = gradient + self.config.smbr * others.gradient
        numerator, denominator, accuracy = (
            float(values[used].sum()) for values in (said.logprobs, *others[:2])
        )
        chosen = used[:, None, None]
        posteriors = said.posteriors * chosen if self.config.xent else None
        return MmiResult(
            value=self.config.mmi * (numerator - denominator) + self.config.smbr * accuracy,
            numerator=numerator,
            denominator=denominator,
            accuracy=accuracy,
            frames=int(lengths.to(used.device)[used].sum()),
            used=used.cpu(),
            gradient=(gradient * chosen).to(outputs.device, outputs.dtype),
            posteriors=None if posteriors is None else posteriors.to(outputs.device, outputs.dtype),
        )

    def _in_torch(
        self, outputs: Tensor, lengths: Tensor, numerators: Sequence[Target]
    ) -> tuple[BatchSums, BatchAccuracy]:
        """On the outputs' device."""
        kind = torch.float64  # float32 runs out of range where scores lie far apart
        count = len(numerators)
        if self._joined is None or self._joined[0] != (count, outputs.device):
            graphs = joined([self._denominator] * count, outputs.device, kind)
            self._joined = ((count, outputs.device), graphs)
        denominator = self._joined[1]
        graphs_alone = [one for one in numerators if isinstance(one, PreparedGraph)]
        if len(graphs_alone) == count:
            said = batch_sums(joined(graphs_alone, outputs.device, kind), outputs, lengths)
        else:  # small beside the denominator
            said = _added(outputs, lengths, numerators)
        if self.config.smbr:
            return said, batch_accuracy(denominator, outputs, lengths, said.posteriors)
        return said, _without_accuracy(batch_sums(denominator, outputs, lengths))

    def _in_kernels(
        self, outputs: Tensor, lengths: Tensor, numerators: Sequence[Target]
    ) -> tuple[BatchSums, BatchAccuracy]:
        """On the CPU, in float64, an utterance a thread."""
        rows = outputs.detach().cpu().numpy()
        sizes = lengths.tolist()
        said, others = np.zeros_like(rows), np.zeros_like(rows)
        gains = np.zeros_like(rows) if self.config.smbr else others[:0]

        def one(place: int) -> tuple[float, float, float]:
            scores = np.ascontiguousarray(rows[place, : sizes[place]])
            right, occupied = said[place, : len(scores)], others[place, : len(scores)]
            numerator = numerators[place].add(scores, right, 1.0)
            if not np.isfinite(numerator):
                return -np.inf, -np.inf, 0.0
            if not self.config.smbr:
                return numerator, self._denominator.add(scores, occupied, 1.0), 0.0
            gain = gains[place, : len(scores)]
            return numerator, *self._denominator.add_accuracy(scores, right, occupied, gain)

        threads = min(self.config.threads or torch.get_num_threads(), len(rows))
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                found = list(pool.map(one, range(len(rows))))
        else:
            found = [one(place) for place in range(len(rows))]
        columns = torch.tensor(found, dtype=torch.float64).reshape(-1, 3).T
        return (
            BatchSums(columns[0], torch.from_numpy(said)),
            BatchAccuracy(columns[1], columns[2], *map(torch.from_numpy, (others, gains))),
        )


def _without_accuracy(sums: BatchSums) -> BatchAccuracy:
    zeros = torch.zeros_like(sums.logprobs)
    return BatchAccuracy(sums.logprobs, zeros, sums.posteriors, sums.posteriors[:0])


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
        value=math.nan,
        numerator=math.nan,
        denominator=math.nan,
        accuracy=math.nan,
        frames=int(lengths.sum()),
        used=torch.ones(len(lengths), dtype=torch.bool),
        gradient=torch.zeros_like(outputs),
        posteriors=torch.zeros_like(outputs),
    )


@dataclass(frozen=True, slots=True, eq=False)
class MmiResult:
    """Of a batch, summed over utterances: the objective, its parts and its gradient.

    Attributes:
        value: mmi · (numerator − denominator) + smbr · accuracy.
        numerator, denominator: natural logs.
        accuracy: frames of the denominator's paths that are expected to be right; 0 without smbr.
        frames: of the utterances that count.
        used: bool [B] (CPU); false for utterances too short for their text, which do not count.
        gradient: float [B, N, pdfs], of the value by the outputs.
        posteriors: float [B, N, pdfs], of the numerator, where they are needed.
    """

    value: float
    numerator: float
    denominator: float
    accuracy: float
    frames: int
    used: Tensor
    gradient: Tensor
    posteriors: Tensor | None

    def attached(self, outputs: Tensor) -> Tensor:
        """The value as a scalar whose gradient by ``outputs`` is ``gradient``."""
        return attached(outputs, self.gradient, self.value)


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
