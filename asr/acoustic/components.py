"""What the components of a network compute, as torch modules on [batch, frames, dim]."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asr.acoustic.plan import Grid
from asr.acoustic.spec import Component
from asr.errors import ModelError

_NORM_FLOOR = 2.0**-66  # Kaldi's kSquaredNormFloor


def take_frames(x: Tensor, have: Grid, want: Grid, offset: int, count: int) -> Tensor:
    """The frames of grid ``want``, ``offset`` later, out of ``x`` on grid ``have`` (a view)."""
    start = (want.first + offset - have.first) // have.stride
    step = want.stride // have.stride
    return x[:, start : start + (count - 1) * step + 1 : step]


class Layer(nn.Module):
    """Base of components that work frame by frame.

    Args:
        component: kind, options and arrays; parameters and buffers bear the arrays' names.
    """

    def __init__(self, component: Component) -> None:
        super().__init__()
        self.kind = component.kind
        self.options: dict[str, Any] = component.options
        for name, array in component.arrays.items():
            self._adopt(name, torch.from_numpy(np.array(array, dtype=np.float32)))

    def _adopt(self, name: str, values: Tensor) -> None:
        self.register_buffer(name, values)

    def to_component(self) -> Component:
        """The present values, as they can be stored."""
        tensors = {**dict(self.named_parameters()), **dict(self.named_buffers())}
        arrays = {name: t.detach().cpu().numpy() for name, t in tensors.items()}
        return Component(self.kind, self.options, arrays)


class Affine(Layer):
    """y(t) = b + Σ_i W_i x(t + offset_i): affine, linear and TDNN layers."""

    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, component: Component) -> None:
        super().__init__(component)
        if "bias" not in component.arrays:
            self.register_parameter("bias", None)
        self.time_offsets: list[int] = list(component.options["time_offsets"])

    def _adopt(self, name: str, values: Tensor) -> None:
        self.register_parameter(name, nn.Parameter(values))

    def forward(self, x: Tensor, have: Grid | None, want: Grid | None, count: int) -> Tensor:
        """Args: x on grid ``have`` (None: timeless), the wanted grid and its number of frames."""
        bias = self.bias
        if have is None or want is None:
            x = x.repeat(1, 1, len(self.time_offsets)) if len(self.time_offsets) > 1 else x
            return F.linear(x, self.weight, bias)
        if len(self.time_offsets) == 1:
            x = take_frames(x, have, want, self.time_offsets[0], count)
            return F.linear(x, self.weight, bias)
        if self.weight.shape[0] < x.shape[2] and have.stride == want.stride:
            return self._project_then_shift(x, have, want, count)
        views = [take_frames(x, have, want, offset, count) for offset in self.time_offsets]
        return F.linear(torch.cat(views, dim=2), self.weight, bias)

    def _project_then_shift(self, x: Tensor, have: Grid, want: Grid, count: int) -> Tensor:
        """One product for all offsets, then narrow sums: no wide input is copied."""
        out_dim, taps = self.weight.shape[0], len(self.time_offsets)
        stacked = self.weight.view(out_dim, taps, -1).transpose(0, 1).reshape(taps * out_dim, -1)
        projected = F.linear(x, stacked)
        parts = [
            take_frames(projected[..., i * out_dim : (i + 1) * out_dim], have, want, offset, count)
            for i, offset in enumerate(self.time_offsets)
        ]
        total = parts[0] + parts[1]
        for part in parts[2:]:
            total = total + part
        return total if self.bias is None else total + self.bias


class BatchNorm(Layer):
    """Batch normalisation with its stored statistics (Kaldi's test mode), also in training."""

    mean: Tensor
    variance: Tensor

    def scale_and_offset(self) -> tuple[Tensor, Tensor]:
        """The equivalent y = scale x + offset."""
        scale = self.options["target_rms"] / torch.sqrt(self.variance + self.options["epsilon"])
        return scale, -self.mean * scale

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, frames, dim]."""
        scale, offset = self.scale_and_offset()
        return torch.addcmul(offset, x, scale)


class ScaleOffset(Layer):
    """y = scale x + offset, either of which may be absent."""

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, frames, dim]."""
        buffers = dict(self.named_buffers())
        if "scale" in buffers:
            x = x * buffers["scale"]
        return x + buffers["offset"] if "offset" in buffers else x


class Pointwise(Layer):
    """A function without parameters."""

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, frames, dim]."""
        return _POINTWISE[self.kind](x, self.options)


class Constant(Layer):
    """The same vector at every frame, whatever the input."""

    output: Tensor

    def forward(self, x: Tensor) -> Tensor:
        """x: [batch, frames, any]."""
        return self.output.expand(x.shape[0], x.shape[1], -1)


def _normalize(x: Tensor, options: dict[str, Any]) -> Tensor:
    """Scale each block to a root mean square of target_rms (Kaldi NormalizeComponent)."""
    blocks = x.unflatten(2, (-1, options["block_dim"]))
    power = blocks.square().mean(dim=3, keepdim=True)
    scaled = blocks * (power / options["target_rms"] ** 2).clamp(min=_NORM_FLOOR).rsqrt()
    if options["add_log_stddev"]:
        floored = power.clamp(min=_NORM_FLOOR * options["target_rms"] ** 2)
        scaled = torch.cat([scaled, 0.5 * floored.log()], dim=3)
    return scaled.flatten(2)


def _sum_group(x: Tensor, options: dict[str, Any]) -> Tensor:
    return torch.stack([group.sum(dim=2) for group in x.split(options["sizes"], dim=2)], dim=2)


_POINTWISE: dict[str, Callable[[Tensor, dict[str, Any]], Tensor]] = {
    "relu": lambda x, _: x.relu(),
    "sigmoid": lambda x, _: x.sigmoid(),
    "tanh": lambda x, _: x.tanh(),
    "softmax": lambda x, _: x.softmax(dim=2),
    "log_softmax": lambda x, _: x.log_softmax(dim=2),
    "identity": lambda x, _: x,
    "normalize": _normalize,
    "pnorm": lambda x, options: x.unflatten(2, (options["output_dim"], -1)).norm(dim=3),
    "sum_group": _sum_group,
    "permute": lambda x, options: x[..., options["columns"]],
}

_LAYERS: dict[str, type[Layer]] = {
    "affine": Affine,
    "batch_norm": BatchNorm,
    "scale_offset": ScaleOffset,
    "constant": Constant,
    **dict.fromkeys(_POINTWISE, Pointwise),
}


def make_layer(name: str, component: Component) -> Layer:
    """The module of a component; ModelError for an unknown kind."""
    layer = _LAYERS.get(component.kind)
    if layer is None:
        raise ModelError(f"component {name!r} is of the unknown kind {component.kind!r}")
    return layer(component)
