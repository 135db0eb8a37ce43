"""Pre-trained layers: what greedy training gives and a network begins with."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from asr.errors import DataError, ModelError
from asr.tensor_file import read_tensors, write_tensors


@dataclass(frozen=True, slots=True, eq=False)
class LayerStack:
    """Layers of sigmoid units on windows of normalised frames.

    Attributes:
        layers: (weight [out, in], bias [out]) each, the first first.
        mean, deviation: float32 [D], of the features that the first layer reads normalised.
        context: frames to either side of a window's middle.
    """

    layers: tuple[tuple[Tensor, Tensor], ...]
    mean: Tensor
    deviation: Tensor
    context: int

    def activations(self, windows: Tensor) -> Tensor:
        """Of the last layer: [n, (2 context + 1) D] normalised → [n, out]."""
        for weight, bias in self.layers:
            windows = torch.sigmoid(torch.nn.functional.linear(windows, weight, bias))
        return windows

    def to(self, device: torch.device | str) -> LayerStack:
        """The stack on a device."""
        layers = tuple((weight.to(device), bias.to(device)) for weight, bias in self.layers)
        return LayerStack(layers, self.mean.to(device), self.deviation.to(device), self.context)

    @torch.no_grad()
    def initialise(self, hidden: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Copy the layers into a network's hidden layers.

        Args:
            hidden: their (weight [out, in], bias [out]), the first first. The first may read more
                behind the window, such as an i-vector: its weights there stay as they are. There
                may be more layers than were pre-trained, which stay as they are too.

        Raises:
            ModelError: layers of other widths, or fewer.
        """
        if len(hidden) < len(self.layers):
            raise ModelError(
                f"{len(self.layers)} pre-trained layers do not fit a network of {len(hidden)}: "
                "pre-train fewer layers or train a deeper network"
            )
        for number, (mine, theirs) in enumerate(zip(self.layers, hidden, strict=False)):
            rows, columns = mine[0].shape
            fits = theirs[0].shape[1] == columns or (not number and theirs[0].shape[1] > columns)
            if theirs[0].shape[0] != rows or not fits:
                raise ModelError(
                    f"the pre-trained layer {number + 1} is {rows} x {columns}, the network's "
                    f"{theirs[0].shape[0]} x {theirs[0].shape[1]}: pre-train with the same "
                    "features, context and width"
                )
        for (weight, bias), theirs in zip(self.layers, hidden, strict=False):
            theirs[0][:, : weight.shape[1]].copy_(weight)
            theirs[1].copy_(bias)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a safetensors file, which appears whole."""
        arrays = {
            "mean": self.mean,
            "deviation": self.deviation,
            "context": torch.tensor([self.context]),
        }
        for number, (weight, bias) in enumerate(self.layers, start=1):
            arrays |= {f"layer{number}.weight": weight, f"layer{number}.bias": bias}
        tensors = {name: array.detach().cpu().numpy() for name, array in arrays.items()}
        write_tensors(path, tensors, checksum=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LayerStack:
        """Inverse of :meth:`save`.

        Raises:
            DataError: no such file, or not one of these.
        """
        try:
            arrays = {name: torch.from_numpy(a) for name, a in read_tensors(path).items()}
            count = sum(name.endswith(".bias") for name in arrays)
            layers = tuple(
                (arrays[f"layer{number}.weight"], arrays[f"layer{number}.bias"])
                for number in range(1, count + 1)
            )
            stack = cls(layers, arrays["mean"], arrays["deviation"], int(arrays["context"][0]))
            stack._check(Path(path))
            return stack
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            raise DataError(
                f"{path} does not hold pre-trained layers ({error}): make it with `asr pretrain`"
            ) from error

    def _check(self, path: Path) -> None:
        width = (2 * self.context + 1) * len(self.mean)
        for weight, bias in self.layers:
            if weight.dim() != 2 or weight.shape != (len(bias), width):
                raise ValueError("layers that do not fit each other")
            width = len(bias)
