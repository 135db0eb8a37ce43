"""The factorised time-delay network (TDNN-F) of Kaldi's chain recipes.

D. Povey et al., Interspeech 2018; the layers are those of ``tdnnf-layer`` and ``prefinal-layer`` in
Kaldi's steps/libs/nnet3/xconfig.
"""

from __future__ import annotations

from dataclasses import dataclass

from asr.acoustic.building import GraphBuilder
from asr.acoustic.spec import NnetSpec
from asr.acoustic.trainable import OUTPUT, XENT, TrainableNnet
from asr.errors import UsageError


@dataclass(frozen=True, slots=True)
class TdnnfConfig:
    """Size of a network.

    Attributes:
        feature_dim, ivector_dim: widths of the input; no i-vector if 0.
        num_pdfs: width of the output.
        dim: width of the hidden layers.
        bottleneck: rank of their factors.
        strides: time stride of each factorised layer, 0 = no context. With subsampling 3, layers
            of stride 3 behind the last of stride 1 compute every third frame only.
        bypass: how much of a layer's input is added to its output.
        prefinal: rank in front of each head.
        splice: frames to either side that the first layer reads.
        subsampling: feature frames per output frame.
        xent: with a second head for cross-entropy, as LF-MMI training wants.
        seed: of the weights.
    """

    feature_dim: int
    num_pdfs: int
    ivector_dim: int = 0
    dim: int = 512
    bottleneck: int = 96
    strides: tuple[int, ...] = (1, 1, 1, 0, 3, 3, 3, 3, 3, 3)
    bypass: float = 0.66
    prefinal: int = 160
    splice: int = 1
    subsampling: int = 3
    xent: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "strides", tuple(self.strides))
        sizes = (self.feature_dim, self.num_pdfs, self.dim, self.bottleneck, self.prefinal)
        if min(sizes) < 1 or self.subsampling < 1:
            raise UsageError("the widths and the subsampling of a TDNN-F must be at least 1")
        if min((*self.strides, self.splice, self.ivector_dim)) < 0:
            raise UsageError("strides, splice and i-vector width of a TDNN-F cannot be negative")


class Tdnnf(TrainableNnet):
    """A TDNN-F with random weights.

    Args:
        config: its size.

    Raises:
        UsageError: an impossible size.
    """

    def __init__(self, config: TdnnfConfig) -> None:
        heads = (OUTPUT, XENT) if config.xent else (OUTPUT,)
        super().__init__(tdnnf_graph(config), config.subsampling, heads)
        self.config = config


def tdnnf_graph(config: TdnnfConfig) -> NnetSpec:
    """The graph with random weights."""
    b = GraphBuilder(config.feature_dim, config.ivector_dim, config.seed)
    offsets = range(-config.splice, config.splice + 1)
    source, width = b.spliced(b.input_norm(), offsets)
    b.affine("tdnn1.affine", source, width, config.dim)
    b.pointwise("tdnn1.relu", "tdnn1.affine", "relu")
    b.batch_norm("tdnn1.batchnorm", "tdnn1.relu")
    previous = b.dropout("tdnn1.dropout", "tdnn1.batchnorm")
    for number, stride in enumerate(config.strides, start=2):
        previous = _layer(b, f"tdnnf{number}", previous, stride, config)
    low = b.tdnn("prefinal-l", previous, config.prefinal, [0], factor=True)
    _head(b, "chain", low, OUTPUT, config)
    if config.xent:
        _head(b, "xent", low, XENT, config)
    return b.spec()


def _layer(b: GraphBuilder, name: str, source: str, stride: int, config: TdnnfConfig) -> str:
    """x ← bypass · x + dropout(batch norm(relu(affine(linear(x)))))."""
    before, after = ([-stride, 0], [0, stride]) if stride else ([0], [0])
    b.tdnn(f"{name}.linear", source, config.bottleneck, before, factor=True)
    b.tdnn(f"{name}.affine", f"{name}.linear", config.dim, after)
    b.pointwise(f"{name}.relu", f"{name}.affine", "relu")
    b.batch_norm(f"{name}.batchnorm", f"{name}.relu")
    b.dropout(f"{name}.dropout", f"{name}.batchnorm")
    if not config.bypass:
        return f"{name}.dropout"
    bypass = f"Sum(Scale({config.bypass!r}, {source}), {name}.dropout)"
    return b.sum(f"{name}.noop", bypass, config.dim)


def _head(b: GraphBuilder, name: str, source: str, output: str, config: TdnnfConfig) -> None:
    prefinal = f"prefinal-{name}"
    b.affine(f"{prefinal}.affine", source, config.prefinal, config.dim)
    b.pointwise(f"{prefinal}.relu", f"{prefinal}.affine", "relu")
    b.batch_norm(f"{prefinal}.batchnorm1", f"{prefinal}.relu")
    b.tdnn(f"{prefinal}.linear", f"{prefinal}.batchnorm1", config.prefinal, [0], factor=True)
    b.batch_norm(f"{prefinal}.batchnorm2", f"{prefinal}.linear")
    # from zero, as in Kaldi: the first outputs are uniform whatever the layers before
    last = b.affine(
        f"{output}.affine", f"{prefinal}.batchnorm2", config.prefinal, config.num_pdfs, zero=True
    )
    if output == XENT:
        last = b.pointwise(f"{output}.log-softmax", last, "log_softmax")
    b.output(output, last)
