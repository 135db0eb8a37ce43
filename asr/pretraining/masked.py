"""Masked prediction: guessing the clusters of frames that the network cannot see.

W.-N. Hsu et al., "HuBERT: self-supervised speech representation learning by masked prediction of
hidden units" (2021), on a network that takes features. What it learns about the sounds around a gap
serves recognition when little speech is transcribed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from asr.errors import DataError, ModelError
from asr.pretraining.masking import MaskConfig, span_mask
from asr.training.batch import Batch
from asr.training.objective import Value


class MaskedPrediction(nn.Module):
    """An objective: cross-entropy of clusters at output frames whose features were hidden.

    Targets of a batch's utterances are int64 [T], a cluster for each feature frame
    (:class:`asr.pretraining.kmeans.Quantizer`). The network has an output for each cluster.
    Hidden frames are replaced by one vector, which is learnt; it begins at the features' mean.

    While the network is in training mode masks are drawn from torch's generator, which the trainer
    seeds for each step; else they follow from the utterances' names, so that values on a
    development set can be compared.

    Args:
        mean, deviation: float32 [D], of the training set's features.
        clusters: outputs of the network.
        config: of the masks.
        seen_weight: weight of the frames that were not hidden (HuBERT: 0).
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        mean: Tensor,
        deviation: Tensor,
        clusters: int,
        config: MaskConfig | None = None,
        seen_weight: float = 0.0,
    ) -> None:
        super().__init__()
        self.clusters = clusters
        self.config = config or MaskConfig()
        self.seen_weight = seen_weight
        self.register_buffer("mean", mean.clone())
        self.register_buffer("deviation", deviation.clone())
        self.hidden = nn.Parameter(torch.zeros(len(mean)))  # in deviations, as large as weights are

    def forward(self, network: nn.Module, batch: Batch) -> Value:
        """The value on a batch; ``frames`` counts those that were hidden.

        Raises:
            DataError: targets that are missing, or of another length than the features.
            ModelError: a network with another number of outputs than there are clusters.
        """
        _check(batch)
        subsampling = int(network.subsampling)  # type: ignore[arg-type]
        mask = self._mask(batch, network.training)
        feats = torch.where(mask[:, :, None], self.hidden_frame(), batch.feats)
        outputs, output_lengths = network(feats, batch.ivectors, batch.lengths)
        if outputs.shape[2] != self.clusters:
            raise ModelError(
                f"the network has {outputs.shape[2]} outputs for {self.clusters} clusters: build "
                "it with one for each"
            )
        return self._value(outputs, output_lengths, mask[:, ::subsampling], batch, subsampling)

    def hidden_frame(self) -> Tensor:
        """What stands for a frame that is hidden: float32 [D]."""
        return self.mean + self.deviation * self.hidden

    def _mask(self, batch: Batch, by_chance: bool) -> Tensor:
        """The hidden frames: bool [B, T]."""
        mask = torch.zeros(batch.feats.shape[:2], dtype=torch.bool)
        for row, name, length in zip(mask, batch.ids, batch.lengths.tolist(), strict=True):
            generator = None if by_chance else _named_generator(name)
            row[:length] = span_mask(length, self.config, generator)
        return mask.to(batch.feats.device)

    def _value(
        self, outputs: Tensor, output_lengths: Tensor, mask: Tensor, batch: Batch, subsampling: int
    ) -> Value:
        targets = torch.zeros(batch.feats.shape[:2], dtype=torch.int64, device=outputs.device)
        for row, target in zip(targets, batch.targets, strict=True):
            row[: len(target)] = target
        targets = targets[:, ::subsampling]
        inside = torch.arange(targets.shape[1], device=outputs.device) < output_lengths[:, None]
        # networks whose output is a log-softmax already are not changed by another
        losses = nn.functional.cross_entropy(
            outputs.float().flatten(0, 1), targets.flatten(), reduction="none"
        ).view(targets.shape)
        hidden, seen = mask & inside, ~mask & inside
        right = (outputs.argmax(dim=2) == targets) & hidden
        loss = (losses * hidden).sum()
        stats = {"cross_entropy": float(loss.detach()), "accuracy": float(right.sum())}
        if self.seen_weight:
            loss = loss + self.seen_weight * (losses * seen).sum()
        return Value(loss=loss, frames=int(hidden.sum()), stats=stats)


@dataclass(frozen=True, slots=True)
class TakenOver:
    """Names of the parameters and buffers that were copied, and of those that were not."""

    copied: tuple[str, ...]
    left: tuple[str, ...]


def take_over(pretrained: nn.Module, network: nn.Module, but: Sequence[str] = ("output",)
) -> TakenOver:  # fmt: skip
    """Begin a network with what another of the same kind has learnt.

    Everything of the same name and shape is copied, but the output layers, which are what the two
    networks differ in.

    Args:
        pretrained: where to copy from.
        network: where to copy to.
        but: beginnings of names that are left as they are. Names are those of
            ``network.parameter_names()`` where there is one, else torch's.

    Raises:
        ModelError: nothing fits.
    """
    theirs, mine = pretrained.state_dict(), network.state_dict()
    known: dict[str, str] = getattr(network, "parameter_names", dict)()
    copied: list[str] = []
    left: list[str] = []
    for key, value in mine.items():
        name = known.get(key, key)
        fits = key in theirs and theirs[key].shape == value.shape
        (copied if fits and not name.startswith(tuple(but)) else left).append(key)
    if not any(torch.is_floating_point(mine[key]) for key in copied):
        raise ModelError(
            "the pre-trained network and this one have no layer in common: pre-train one of the "
            "same kind and size"
        )
    network.load_state_dict({**mine, **{key: theirs[key] for key in copied}})
    return TakenOver(tuple(copied), tuple(left))


def _check(batch: Batch) -> None:
    for name, length, target in zip(batch.ids, batch.lengths.tolist(), batch.targets, strict=True):
        if not isinstance(target, Tensor) or len(target) != length:
            raise DataError(
                f"{name} has no cluster for each of its {length} frames: make targets from these "
                "features"
            )


def _named_generator(name: str) -> torch.Generator:
    digest = hashlib.sha256(name.encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)
