"""Arithmetic of networks in fewer bits: int8 on processors, half precision where it is fast.

int8 is dynamic quantisation: weights are rounded once, a scale for each row, and what enters a
layer each time, by the range of each sound (as torch's ``quantize_dynamic``, which takes a whole
batch's). Norms, attention and convolutions
stay as they are.
"""

from __future__ import annotations

import contextlib
import copy
from contextlib import AbstractContextManager
from typing import Literal, TypeVar, get_args

import torch
from torch import Tensor, nn

from asr.errors import UsageError

Precision = Literal["float32", "int8", "float16", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
_HALF = {"float16": torch.float16, "bfloat16": torch.bfloat16}
_LEVELS = 127
M = TypeVar("M", bound=nn.Module)


def checked_precision(name: str, device: torch.device) -> Precision:
    """The precision of that name, where this device has it.

    Raises:
        UsageError: there is none, or the device has not.
    """
    for precision in PRECISIONS:
        if precision == name:
            break
    else:
        raise UsageError(f"no such precision: {name}; use {', '.join(PRECISIONS)}")
    if precision == "int8" and device.type != "cpu":
        raise UsageError("int8 is for processors: on a GPU use float16 or bfloat16")
    if precision == "float16" and device.type == "cpu":
        raise UsageError("float16 needs a GPU: on a processor use int8 or bfloat16")
    return precision


def arithmetic(precision: Precision, device: torch.device) -> AbstractContextManager[None]:
    """What networks are run in."""
    if precision not in _HALF:
        return contextlib.nullcontext()
    return torch.autocast(device.type, _HALF[precision])


def quantised(module: M) -> M:
    """A copy whose linear layers compute in int8.

    Raises:
        UsageError: it has no linear layers.
    """
    found = copy.deepcopy(module)
    replaced = 0
    for parent in [*found.modules()]:
        for name, child in [*parent.named_children()]:
            if isinstance(child, nn.Linear):
                setattr(parent, name, Int8Linear(child))
                replaced += 1
    if not replaced:
        raise UsageError(
            "int8 is for models on an encoder; this one's network has no layers for it: leave the"
            " precision out"
        )
    return found


class Int8Linear(nn.Module):
    """A linear layer of int8 weights, for inference on a processor.

    Args:
        layer: of float32.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        weight = layer.weight.detach().float()
        largest = weight.abs().amax(dim=1).clamp(min=1e-8).double()
        zeros = torch.zeros(len(weight), dtype=torch.int64)
        rounded = torch.quantize_per_channel(weight, largest / _LEVELS, zeros, 0, torch.qint8)
        bias = None if layer.bias is None else layer.bias.detach().float()
        self._packed = torch.ops.quantized.linear_prepack(rounded, bias)

    def forward(self, x: Tensor) -> Tensor:
        """float32 [T, in] or [B, T, in] to float32 [..., out]; sounds of a batch do not mix."""
        if x.dim() > 2 and len(x) > 1:  # by one range for all, a sound's result hung on the others
            return torch.stack([self._forward(one) for one in x])
        return self._forward(x)

    def _forward(self, x: Tensor) -> Tensor:
        # seven bits of the input: eight overflow on processors without VNNI (torch's default, too)
        result: Tensor = torch.ops.quantized.linear_dynamic(x, self._packed, reduce_range=True)
        return result
