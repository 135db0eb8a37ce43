"""Run a network graph such as a Kaldi TDNN-F chain model in torch, on CPU or GPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from asr.acoustic.components import Affine, make_layer, take_frames
from asr.acoustic.descriptor import Descriptor
from asr.acoustic.fuse import fuse
from asr.acoustic.network import AcousticNetwork
from asr.acoustic.plan import Grid, Step, make_plan
from asr.acoustic.spec import NnetSpec
from asr.errors import ModelError, UsageError

FEATURES, IVECTOR = "input", "ivector"  # the names Kaldi's recipes give to input nodes
_CPU_CHUNK, _GPU_CHUNK = 256, 1 << 15  # output frames × utterances at once: fits cache and memory
_MIN_CHUNK = 96  # output frames of one utterance at once: shorter ones repeat too much context


def checked_lengths(
    feats: Tensor,
    ivectors: Tensor | None,
    lengths: Tensor | None,
    feature_dim: int,
    ivector_dim: int,
) -> Tensor:
    """The frames of each utterance, int64 [B]: ``lengths``, or all where that is None.

    Args:
        feats: [B, T, D]; ivectors: [B, I] or None; lengths: int64 [B] or None.
        feature_dim, ivector_dim: what D and I must be; no i-vectors are looked at if 0.

    Raises:
        UsageError: shapes that do not fit.
    """
    if feats.dim() != 3 or feats.shape[2] != feature_dim:
        raise UsageError(
            f"the network takes [batch, frames, {feature_dim}], not {tuple(feats.shape)}"
        )
    shape = None if ivectors is None else tuple(ivectors.shape)
    if ivector_dim and shape != (len(feats), ivector_dim):
        raise UsageError(f"the network takes i-vectors [{len(feats)}, {ivector_dim}], not {shape}")
    if lengths is None:
        return torch.full((len(feats),), feats.shape[1], device=feats.device)
    if bool((lengths < 0).any()) or bool((lengths > feats.shape[1]).any()):
        raise UsageError(f"lengths must lie between 0 and {feats.shape[1]}")
    return lengths.to(feats.device)


class Nnet(AcousticNetwork):
    """A feed-forward (TDNN, TDNN-F) network executed from its graph.

    Only frames that the outputs need are computed. The features are continued at both ends by
    repeating the first and the last frame, as Kaldi does, so an utterance gives the same output
    alone or in a batch. Batch norm uses its stored statistics, in training too.

    Args:
        spec: the graph.
        subsampling: feature frames per output frame.
        output: the output node to compute; others (``output-xent``) are left out.

    Raises:
        ModelError: the graph contradicts itself or is recurrent.
    """

    def __init__(self, spec: NnetSpec, subsampling: int = 3, output: str = "output") -> None:
        super().__init__()
        if subsampling < 1:
            raise ModelError(f"a frame subsampling factor of {subsampling} makes no sense")
        self.subsampling = subsampling
        self.output = output
        self._steps = make_plan(spec, output, subsampling, frozenset({IVECTOR}))
        inputs = {s.node.name: s for s in self._steps if s.node.kind == "input"}
        if FEATURES not in inputs or not set(inputs) <= {FEATURES, IVECTOR}:
            raise ModelError(
                f"the network's inputs are {sorted(inputs)}, not {FEATURES!r} and {IVECTOR!r}"
            )
        self.feature_dim = inputs[FEATURES].dim
        self.ivector_dim = inputs[IVECTOR].dim if IVECTOR in inputs else 0
        self.num_pdfs = self._steps[-1].dim
        grid = inputs[FEATURES].grid
        assert grid is not None  # the features vary with time
        self._input_grid = Grid(grid.first, grid.last, 1)
        self._nodes = {step.node.name: step.node for step in self._steps}
        names = [step.node.component for step in self._steps if step.node.kind == "component"]
        self._layer_of = {name: make_layer(name, spec.components[name]) for name in names}
        # torch allows no dots in names, so it knows the layers by number
        self._layers = nn.ModuleList(self._layer_of.values())

    @property
    def left_context(self) -> int:
        """Feature frames needed before the frame of an output."""
        return -self._input_grid.first

    @property
    def right_context(self) -> int:
        """Feature frames needed after the frame of an output."""
        return self._input_grid.last

    def forward(
        self, feats: Tensor, ivectors: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Scores of whole utterances, as :meth:`asr.acoustic.network.AcousticNetwork.forward`.

        Raises:
            UsageError: shapes that do not fit the network.
        """
        lengths = checked_lengths(feats, ivectors, lengths, self.feature_dim, self.ivector_dim)
        output_lengths = -(-lengths // self.subsampling)
        outputs = -(-feats.shape[1] // self.subsampling)
        if outputs == 0:
            return feats.new_zeros(len(feats), 0, self.num_pdfs), output_lengths
        padded = self._pad(feats, lengths, outputs)
        scores = self.forward_context(padded, ivectors)
        if bool((output_lengths < outputs).any()):
            inside = torch.arange(outputs, device=feats.device) < output_lengths[:, None]
            scores = scores * inside[:, :, None]
        return scores, output_lengths

    def forward_context(self, feats: Tensor, ivectors: Tensor | None = None) -> Tensor:
        """Scores of features that already hold the context on both sides (streaming).

        Args:
            feats: float32 [B, left_context + subsampling × (N − 1) + 1 + right_context (or up to
                subsampling − 1 more), feature_dim].
            ivectors: float32 [B, ivector_dim] or None.

        Returns:
            float32 [B, N, num_pdfs].
        """
        context = self.left_context + self.right_context
        outputs = (feats.shape[1] - context - 1) // self.subsampling + 1
        if outputs < 1:
            raise UsageError(f"{feats.shape[1]} frames are fewer than the network's context")
        limit = _GPU_CHUNK if feats.is_cuda else _CPU_CHUNK
        chunk = outputs if torch.is_grad_enabled() else max(_MIN_CHUNK, limit // len(feats))
        pieces = []
        for begin in range(0, outputs, chunk):
            count = min(chunk, outputs - begin)
            first = begin * self.subsampling
            width = context + (count - 1) * self.subsampling + 1
            pieces.append(self._run(feats[:, first : first + width], ivectors, count))
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=1)

    def fused(self) -> Nnet:
        """An equal network for inference: fewer, larger steps and no gradients."""
        network = Nnet(fuse(self.to_graph(), self.output), self.subsampling, self.output)
        return network.to(next(self.parameters()).device).requires_grad_(False).eval()

    def to_graph(self) -> NnetSpec:
        """The graph with the present parameters (only what ``output`` needs)."""
        components = {name: layer.to_component() for name, layer in self._layer_of.items()}
        return NnetSpec(dict(self._nodes), components)

    def to_spec(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What a bundle stores: a JSON-able description and float32 tensors by name."""
        description, arrays = self.to_graph().to_json()
        description = {**description, "subsampling": self.subsampling, "output": self.output}
        return description, {name: torch.from_numpy(np.array(a)) for name, a in arrays.items()}

    @classmethod
    def from_spec(cls, description: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Nnet:
        """Inverse of :meth:`to_spec`.

        Raises:
            ModelError: damaged, or written by a newer version.
        """
        arrays = {name: tensor.detach().cpu().numpy() for name, tensor in tensors.items()}
        spec = NnetSpec.from_json(description, arrays)
        try:
            return cls(spec, int(description["subsampling"]), str(description["output"]))
        except KeyError as missing:
            raise ModelError(f"the network's description lacks {missing}") from None

    def _pad(self, feats: Tensor, lengths: Tensor, outputs: int) -> Tensor:
        """Continue each utterance by its first and its last frame."""
        last = self.subsampling * (outputs - 1) + self.right_context
        times = torch.arange(-self.left_context, last + 1, device=feats.device)
        index = torch.minimum(times[None], lengths[:, None] - 1).clamp(min=0)
        return feats.gather(1, index[:, :, None].expand(-1, -1, feats.shape[2]))

    def _run(self, feats: Tensor, ivectors: Tensor | None, outputs: int) -> Tensor:
        values: dict[str, tuple[Tensor, Grid | None]] = {FEATURES: (feats, self._input_grid)}
        if ivectors is not None:
            values[IVECTOR] = (ivectors[:, None], None)
        for step in self._steps:
            if step.node.kind != "input":
                values[step.node.name] = (self._compute(step, values, outputs), step.grid)
        result = values[self.output][0]
        return result.expand(-1, outputs, -1)

    def _compute(
        self, step: Step, values: Mapping[str, tuple[Tensor, Grid | None]], outputs: int
    ) -> Tensor:
        assert step.source is not None  # only inputs have none
        source_count = self._count(step.source_grid, outputs)
        x = _evaluate(step.source, values, step.source_grid, 0, source_count)
        if step.node.kind == "dim-range":
            return x[..., step.node.dim_offset : step.node.dim_offset + step.node.dim]
        if step.node.kind != "component":
            return x
        layer = self._layer_of[step.node.component]
        if isinstance(layer, Affine):
            x = layer(x, step.source_grid, step.grid, self._count(step.grid, outputs))
        else:
            x = layer(x)
        return x

    def _count(self, grid: Grid | None, outputs: int) -> int:
        return 1 if grid is None else grid.count(outputs, self.subsampling)


def _evaluate(
    tree: Descriptor,
    values: Mapping[str, tuple[Tensor, Grid | None]],
    grid: Grid | None,
    offset: int,
    count: int,
) -> Tensor:
    """The value of a descriptor at the frames of ``grid``, ``offset`` later."""
    if tree.op == "Node":
        value, have = values[tree.name]
        if have is None or grid is None:
            return value.expand(-1, count, -1)
        return take_frames(value, have, grid, offset, count)
    if tree.op == "Offset":
        return _evaluate(tree.parts[0], values, grid, offset + int(tree.numbers[0]), count)
    if tree.op == "Scale":
        return tree.numbers[0] * _evaluate(tree.parts[0], values, grid, offset, count)
    if tree.op == "Sum":
        return _sum(tree, values, grid, offset, count)
    if tree.op == "Const":
        batch, _ = values[FEATURES]
        return batch.new_full((len(batch), count, int(tree.numbers[1])), tree.numbers[0])
    parts = [_evaluate(part, values, grid, offset, count) for part in tree.parts]
    # the rest (Round, ReplaceIndex, …) was checked to read only what is the same at all times
    return torch.cat(parts, dim=2) if tree.op == "Append" else parts[0]


def _sum(
    tree: Descriptor,
    values: Mapping[str, tuple[Tensor, Grid | None]],
    grid: Grid | None,
    offset: int,
    count: int,
) -> Tensor:
    """Σ of parts; scaled ones (bypass connections) are scaled and added in one pass."""
    plain = [part for part in tree.parts if part.op != "Scale"]
    scaled = [part for part in tree.parts if part.op == "Scale"]
    first, *others = plain + scaled
    total = _evaluate(first, values, grid, offset, count)
    for part in others:
        inner, factor = (part.parts[0], part.numbers[0]) if part in scaled else (part, 1.0)
        total = torch.add(total, _evaluate(inner, values, grid, offset, count), alpha=factor)
    return total
