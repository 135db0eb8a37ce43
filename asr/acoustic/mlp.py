"""The multilayer perceptron of the hybrid DNN-HMM: spliced frames to posteriors of senones.

G. Dahl et al., "Context-dependent pre-trained deep neural networks for large-vocabulary speech
recognition", 2012; Kaldi's nnet1/nnet2 recipes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from asr.acoustic.building import GraphBuilder
from asr.acoustic.components import Affine
from asr.acoustic.nnet import Nnet
from asr.acoustic.spec import Component, NnetSpec, Node
from asr.acoustic.trainable import OUTPUT, TrainableNnet
from asr.errors import DataError, UsageError

PRIOR_FLOOR = 1e-5
"""The smallest prior: a senone hardly ever seen would otherwise be likely at any sound."""


@dataclass(frozen=True, slots=True)
class MlpConfig:
    """Size of a network.

    Attributes:
        feature_dim, ivector_dim: widths of the input; no i-vector if 0.
        num_pdfs: senones.
        context: frames to either side that are read.
        layers: hidden layers.
        dim: their width.
        nonlinearity: "sigmoid" (the historical one) or "relu".
        batch_norm: behind each non-linearity.
        seed: of the weights.
    """

    feature_dim: int
    num_pdfs: int
    ivector_dim: int = 0
    context: int = 5
    layers: int = 4
    dim: int = 512
    nonlinearity: str = "sigmoid"
    batch_norm: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.feature_dim, self.num_pdfs, self.layers, self.dim) < 1:
            raise UsageError("the widths of a multilayer perceptron must be at least 1")
        if min(self.context, self.ivector_dim) < 0:
            raise UsageError("the context of a multilayer perceptron cannot be negative")
        if self.nonlinearity not in ("sigmoid", "relu"):
            raise UsageError(f"nonlinearity is {self.nonlinearity!r}; choose sigmoid or relu")


class Mlp(TrainableNnet):
    """A multilayer perceptron with random weights; its outputs are log-posteriors.

    Args:
        config: its size.

    Raises:
        UsageError: an impossible size.
    """

    def __init__(self, config: MlpConfig) -> None:
        super().__init__(mlp_graph(config), 1, (OUTPUT,))
        self.config = config

    def hidden_layers(self) -> list[tuple[nn.Parameter, nn.Parameter]]:
        """(weight [out, in], bias [out]) of each hidden layer, first first, for pre-training.

        The first reads the normalised frames t − context … t + context side by side, then the
        i-vector.
        """
        found = []
        for number in range(1, self.config.layers + 1):
            layer = self._layer_of[f"hidden{number}.affine"]
            assert isinstance(layer, Affine) and layer.bias is not None  # built so
            found.append((layer.weight, layer.bias))
        return found

    def to_hybrid(self, log_priors: NDArray[np.floating]) -> Nnet:
        """For decoding: outputs are log p(pdf | sound) − log p(pdf), likelihoods up to a factor.

        Args:
            log_priors: float [num_pdfs], see :func:`log_priors`.
        """
        return Nnet(with_priors(self.to_graph(), log_priors), 1)


def mlp_graph(config: MlpConfig) -> NnetSpec:
    """The graph with random weights."""
    b = GraphBuilder(config.feature_dim, config.ivector_dim, config.seed)
    source, width = b.spliced(b.input_norm(), range(-config.context, config.context + 1))
    behind_sigmoid = False
    for number in range(1, config.layers + 1):
        name, kind = f"hidden{number}", config.nonlinearity
        if behind_sigmoid:
            b.affine_behind_sigmoid(f"{name}.affine", source, config.dim)
        else:
            b.affine(f"{name}.affine", source, width, config.dim)
        source = b.pointwise(f"{name}.{kind}", f"{name}.affine", kind)
        behind_sigmoid = kind == "sigmoid" and not config.batch_norm
        if config.batch_norm:
            source = b.batch_norm(f"{name}.batchnorm", source)
        source, width = b.dropout(f"{name}.dropout", source), config.dim
    if behind_sigmoid:
        b.affine_behind_sigmoid("output.affine", source, config.num_pdfs)
    else:
        b.affine("output.affine", source, width, config.num_pdfs)
    b.output(OUTPUT, b.pointwise("output.log-softmax", "output.affine", "log_softmax"))
    return b.spec()


def log_priors(
    counts: NDArray[np.integer] | NDArray[np.floating], floor: float = PRIOR_FLOOR
) -> NDArray[np.float32]:
    """Log-priors of pdfs from how many frames of the alignments each has.

    A pdf that was never seen gets prior 1, so that nothing sounds like it (Kaldi's PdfPrior, too,
    makes such pdfs unlikely): what the network says of it is worth nothing.

    Args:
        counts: [num_pdfs].
        floor: no prior is smaller.

    Raises:
        DataError: no counts at all.
    """
    total = float(np.sum(counts))
    if not total > 0:
        raise DataError("no frame is aligned, so the senones have no priors: align first")
    floored = np.maximum(np.asarray(counts, np.float64) / total, floor)
    seen = np.asarray(counts) > 0
    result: NDArray[np.float32] = np.log(np.where(seen, floored, 1.0)).astype(np.float32)
    return result


def with_priors(spec: NnetSpec, priors: NDArray[np.floating], output: str = OUTPUT) -> NnetSpec:
    """A graph whose output has log-priors subtracted, by one more component ``priors``.

    Args:
        spec: the graph; not changed.
        priors: log-priors, float [num_pdfs].
        output: the output node.
    """
    node = spec.nodes[output]
    offset = -np.asarray(priors, np.float32)
    return NnetSpec(
        {
            **spec.nodes,
            "priors": Node("priors", "component", node.source, "priors"),
            output: replace(node, source="priors"),
        },
        {**spec.components, "priors": Component("scale_offset", {}, {"offset": offset})},
    )
