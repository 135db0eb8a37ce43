"""A network graph that learns: batch norm by the batch, dropout, several outputs, constraints.

It is :class:`asr.acoustic.nnet.Nnet` with what only training needs, so what it learns is a graph
that a bundle stores and the recognizer runs as it is; imported networks can be trained as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from asr.acoustic.batch_norm import Adder, TrainedBatchNorm
from asr.acoustic.components import Affine, BatchNorm, ScaleOffset
from asr.acoustic.nnet import FEATURES, IVECTOR, Nnet, _evaluate, checked_lengths
from asr.acoustic.orthonormal import constrain_semi_orthogonal
from asr.acoustic.plan import Grid, Step
from asr.acoustic.spec import NnetSpec, Node
from asr.errors import ModelError

INPUT_NORM = "norm"
OUTPUT, XENT = "output", "output-xent"
_HEADS = "all heads"


class TrainableNnet(Nnet):
    """A feed-forward network with everything that training needs.

    Options of components that matter here: ``dropout`` of an ``identity`` (any value: its output
    is multiplied by random factors, the same at all times), ``orthonormal`` of an ``affine`` (−1:
    its weight is kept semi-orthogonal up to a scale that floats; otherwise that scale).

    Args:
        spec: the graph.
        subsampling: feature frames per output frame.
        heads: output nodes; the first is the network's result.
        fixed_batch_norm: keep the stored statistics, as is best when little is changed.

    Raises:
        ModelError: the graph contradicts itself, is recurrent, or lacks a head.
    """

    def __init__(
        self,
        spec: NnetSpec,
        subsampling: int = 3,
        heads: Sequence[str] = (OUTPUT,),
        fixed_batch_norm: bool = False,
    ) -> None:
        missing = [head for head in heads if head not in spec.nodes]
        if missing or not heads:
            raise ModelError(f"the network has no output {missing[:1]}")
        self.head_names = tuple(heads)
        super().__init__(_joined(spec, heads), subsampling, _HEADS)
        dims = {step.node.name: step.dim for step in self._steps}
        self._head_dims = [dims[head] for head in heads]
        self.num_pdfs = self._head_dims[0]
        self.dropout = 0.0
        if not fixed_batch_norm:
            self._learn_batch_norm()

    def _learn_batch_norm(self) -> None:
        for number, (name, layer) in enumerate(self._layer_of.items()):
            if isinstance(layer, BatchNorm):
                trained = TrainedBatchNorm(layer.to_component())
                self._layer_of[name] = self._layers[number] = trained

    def forward(
        self, feats: Tensor, ivectors: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The first head of whole utterances, as :meth:`asr.acoustic.nnet.Nnet.forward`."""
        heads, output_lengths = self.heads(feats, ivectors, lengths)
        return heads[self.head_names[0]], output_lengths

    def heads(
        self, feats: Tensor, ivectors: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """All heads: float32 [B, ceil(T / subsampling), dim] by name, 0 behind an utterance's end.

        Args and errors are those of :meth:`asr.acoustic.nnet.Nnet.forward`.
        """
        lengths = checked_lengths(feats, ivectors, lengths, self.feature_dim, self.ivector_dim)
        output_lengths = -(-lengths // self.subsampling)
        outputs = -(-feats.shape[1] // self.subsampling)
        if outputs == 0:
            joined = feats.new_zeros(len(feats), 0, sum(self._head_dims))
        elif self.training:
            padded = self._pad(feats, lengths, outputs)
            joined = self._learn(padded, ivectors, outputs, output_lengths)
        else:
            joined = self.forward_context(self._pad(feats, lengths, outputs), ivectors)
        if bool((output_lengths < outputs).any()):
            inside = torch.arange(outputs, device=feats.device) < output_lengths[:, None]
            joined = joined * inside[:, :, None]
        parts = joined.float().split(self._head_dims, dim=2)
        return dict(zip(self.head_names, parts, strict=True)), output_lengths

    def _learn(
        self, feats: Tensor, ivectors: Tensor | None, outputs: int, output_lengths: Tensor
    ) -> Tensor:
        """As ``_run``, telling batch norm which frames are real."""
        masks = _Masks(self, output_lengths, outputs)
        values: dict[str, tuple[Tensor, Grid | None]] = {FEATURES: (feats, self._input_grid)}
        if ivectors is not None:
            values[IVECTOR] = (ivectors[:, None], None)
        for step in self._steps:
            if step.node.kind == "input":
                continue
            layer = self._layer_of.get(step.node.component)
            if isinstance(layer, TrainedBatchNorm):
                x = self._source(step, values, outputs)
                y = layer(x, masks.of(step.grid))
            else:
                y = self._compute(step, values, outputs)
                if layer is not None and "dropout" in layer.options and self.dropout:
                    y = y * self._factors(y)
            values[step.node.name] = (y, step.grid)
        return values[self.output][0].expand(-1, outputs, -1)

    def _source(
        self, step: Step, values: Mapping[str, tuple[Tensor, Grid | None]], outputs: int
    ) -> Tensor:
        assert step.source is not None
        count = self._count(step.source_grid, outputs)
        return _evaluate(step.source, values, step.source_grid, 0, count)

    def _factors(self, y: Tensor) -> Tensor:
        """Continuous dropout, constant in time: uniform in 1 ± 2p (Kaldi GeneralDropoutComponent,
        ``continuous=true``)."""
        shape = (len(y), 1, y.shape[2])
        return 1.0 + 2.0 * self.dropout * (2.0 * torch.rand(shape, device=y.device) - 1.0)

    # -- what the trainer calls --

    def set_dropout(self, proportion: float) -> None:
        """The dropout proportion from now on, 0 to 0.5."""
        self.dropout = proportion

    def set_batch_norm_world(self, world: Adder | None) -> None:
        """Let batch norm use the statistics of all processes' batches; None: its own batch's."""
        for layer in self._layer_of.values():
            if isinstance(layer, TrainedBatchNorm):
                layer.world = world

    @torch.no_grad()
    def constrain(self) -> None:
        """One step of each constrained weight towards a semi-orthogonal one."""
        for layer in self._layer_of.values():
            scale = layer.options.get("orthonormal")
            if isinstance(layer, Affine) and scale is not None and layer.weight.requires_grad:
                constrain_semi_orthogonal(layer.weight, float(scale))

    def parameter_names(self) -> dict[str, str]:
        """Torch's names to ``component.array``, such as ``tdnnf2.linear.weight``."""
        return {
            f"_layers.{number}.{key}": f"{name}.{key}"
            for number, (name, layer) in enumerate(self._layer_of.items())
            for key, _ in layer.named_parameters()
        }

    def normalise_input(self, mean: Tensor, deviation: Tensor) -> None:
        """Let the network subtract ``mean`` from its features and divide by ``deviation``.

        Args:
            mean, deviation: float [feature_dim], of the training set's features.

        Raises:
            ModelError: the network has no component for it (``norm``).
        """
        layer = self._layer_of.get(INPUT_NORM)
        if not isinstance(layer, ScaleOffset):
            raise ModelError("the network does not normalise its input: train one that does")
        scale = 1.0 / deviation.clamp(min=1e-5)
        buffers = dict(layer.named_buffers())
        buffers["scale"].copy_(scale)
        buffers["offset"].copy_(-mean * scale)

    # -- export --

    def to_graph(self) -> NnetSpec:
        """The graph with the present parameters and one output node for each head."""
        spec = super().to_graph()
        nodes = {name: node for name, node in spec.nodes.items() if name != _HEADS}
        return NnetSpec(nodes, spec.components)

    def to_nnet(self) -> Nnet:
        """The network for inference: the first head alone."""
        network = Nnet(self.to_graph(), self.subsampling, self.head_names[0])
        return network.to(next(self.parameters()).device).eval()

    def to_spec(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What a bundle stores: the first head alone."""
        return self.to_nnet().to_spec()

    def fused(self) -> Nnet:
        """An equal network for inference, of the first head alone."""
        return self.to_nnet().fused()


class _Masks:
    """Which frames of a grid an utterance alone would have computed."""

    def __init__(self, network: Nnet, output_lengths: Tensor, outputs: int) -> None:
        self._network, self._lengths, self._outputs = network, output_lengths, outputs
        self._full = not bool((output_lengths < outputs).any())
        self._known: dict[Grid, Tensor] = {}

    def of(self, grid: Grid | None) -> Tensor | None:
        """bool [B, frames of the grid]; None = all."""
        if self._full or grid is None:
            return None
        if grid not in self._known:
            subsampling = self._network.subsampling
            span = grid.last - grid.first
            counts = (subsampling * (self._lengths - 1) + span) // grid.stride + 1
            counts = counts.where(self._lengths > 0, 0)
            frames = torch.arange(grid.count(self._outputs, subsampling), device=counts.device)
            self._known[grid] = frames < counts[:, None]
        return self._known[grid]


def _joined(spec: NnetSpec, heads: Sequence[str]) -> NnetSpec:
    """The graph with one more node that holds all heads side by side."""
    source = f"Append({', '.join(heads)})" if len(heads) > 1 else heads[0]
    nodes = {**spec.nodes, _HEADS: Node(_HEADS, "output", source)}
    return NnetSpec(nodes, spec.components)
