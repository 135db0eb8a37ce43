"""Read a Kaldi nnet3 network, component by component (Kaldi nnet3/nnet-nnet.cc and *-component.cc).

Kaldi writes a component as tagged fields in an order that changed over the years. They are read by
their tags here, in any order; a field or component type that is not known is named in the error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.acoustic.spec import Component, NnetSpec, Node
from asr.errors import ModelError
from asr.hmm.transition import TransitionModel
from asr.kaldi.io import BinaryReader
from asr.kaldi.transition_model import parse_transition_model

_Fields = dict[str, Any]

_FIELD_KINDS = {
    "int": "Dim BlockDim InputDim OutputDim RankIn RankOut Rank UpdatePeriod TimePeriod "
    "TimeMaskMaxFrames SpecAugmentMaxRegions",
    "float": "LearningRate LearningRateFactor MaxChange MaxChangePerSample L2Regularize "
    "OrthonormalConstraint Alpha NumSamplesHistory Epsilon TargetRms Count OderivCount "
    "NumDimsSelfRepaired NumDimsProcessed SelfRepairScale SelfRepairLowerThreshold "
    "SelfRepairUpperThreshold BackpropScale DropoutProportion SpecAugmentMaxProportion "
    "ZeroedProportion UpdateCount ActiveScalingCount MaxChangeScaleStats",
    "bool": "UseNaturalGradient IsGradient IsUpdatable AddLogStddev DropoutPerFrame TestMode",
    "array": "LinearParams BiasParams Params ValueAvg ValueSum DerivAvg DerivSum OderivRms "
    "StatsMean StatsVar Scales Bias Offsets Output",
    "ints": "TimeOffsets Sizes ColumnMap",
    "two floats": "AlphaInOut",
    "two ints": "RankInOut",
    "flag": "Continuous",
}
_KIND_OF_FIELD = {
    f"<{name}>": kind for kind, names in _FIELD_KINDS.items() for name in names.split()
}
#: fields written without a value in one component, with a bool in others
_EXCEPTIONS = {
    ("GeneralDropoutComponent", "<TestMode>"): "flag",
    ("SpecAugmentTimeMaskComponent", "<TestMode>"): "flag",
}


@dataclass(frozen=True, slots=True, eq=False)
class AcousticModel:
    """The content of a ``final.mdl``.

    Attributes:
        transitions: None in a raw network file.
        nnet: the network.
        priors: float32 [num_pdfs] to divide the outputs by; empty in chain models.
    """

    transitions: TransitionModel | None
    nnet: NnetSpec
    priors: NDArray[np.float32]


def read_nnet3(path: Path) -> NnetSpec:
    """The network in a ``final.mdl`` (behind the transition model) or a raw nnet3 file.

    Raises:
        ModelError: malformed, or a component of a type that is not supported (named).
    """
    return read_acoustic_model(path).nnet


def read_acoustic_model(path: Path) -> AcousticModel:
    """Everything in a ``final.mdl`` or a raw nnet3 file; errors as :func:`read_nnet3`."""
    reader = BinaryReader.open(path)
    if reader.peek_token("<TransitionModel> or <Nnet3>") == "<Nnet3>":
        return AcousticModel(None, _parse_nnet(reader), np.empty(0, np.float32))
    transitions = parse_transition_model(reader)
    nnet = _parse_nnet(reader)
    reader.expect("<LeftContext>")
    reader.read_int()
    reader.expect("<RightContext>")
    reader.read_int()
    reader.expect("<Priors>")
    return AcousticModel(transitions, nnet, reader.read_vector().astype(np.float32))


def _parse_nnet(reader: BinaryReader) -> NnetSpec:
    reader.expect("<Nnet3>")
    reader.read_line()
    nodes: dict[str, Node] = {}
    while line := reader.read_line().strip():
        node = _parse_node(reader, line)
        nodes[node.name] = node
    reader.expect("<NumComponents>")
    components = {}
    for _ in range(reader.read_count(8, "components")):
        reader.expect("<ComponentName>")
        name = reader.read_token("a component's name")
        components[name] = _read_component(reader, name)
    reader.expect("</Nnet3>")
    for node in nodes.values():
        if node.kind == "component" and node.component not in components:
            reader.fail(f"a component named {node.component!r} for node {node.name!r}")
    return NnetSpec(nodes, components)


def _parse_node(reader: BinaryReader, line: str) -> Node:
    """One config line such as ``component-node name=a component=b input=Append(x, y)``."""
    kind, _, rest = line.partition(" ")
    values = dict(re.findall(r"([\w-]+)=(.*?)(?=\s+[\w-]+=|$)", rest))
    try:
        if kind == "input-node":
            return Node(values["name"], "input", dim=int(values["dim"]))
        if kind == "component-node":
            return Node(values["name"], "component", values["input"], values["component"])
        if kind == "output-node":
            return Node(values["name"], "output", values["input"])
        if kind == "dim-range-node":
            dim, offset = int(values["dim"]), int(values["dim-offset"])
            return Node(values["name"], "dim-range", values["input-node"], "", dim, offset)
    except (KeyError, ValueError):
        reader.fail(f"a complete {kind} line (not {line!r})")
    reader.fail(f"a line that describes a node (not {line!r})")


def _read_component(reader: BinaryReader, name: str) -> Component:
    opening = reader.read_token("a component")
    kind = opening.strip("<>")
    build = _BUILDERS.get(kind)
    if build is None:
        raise ModelError(
            f"{reader.name}: component {name!r} is of type {kind}, which is not supported; "
            f"supported are {', '.join(sorted(_BUILDERS))}"
        )
    at = reader.position
    fields = _read_fields(reader, kind)
    try:
        return build(fields)
    except KeyError as missing:
        reader.fail(f"field {missing} in component {name!r} of type {kind}", at)
    except ValueError as error:
        reader.fail(f"a sound component {name!r} of type {kind} ({error})", at)


def _read_fields(reader: BinaryReader, kind: str) -> _Fields:
    fields: _Fields = {}
    while True:
        at = reader.position
        tag = reader.read_token(f"a field of {kind}")
        if tag == f"</{kind}>":
            return fields
        value_kind = _EXCEPTIONS.get((kind, tag)) or _KIND_OF_FIELD.get(tag)
        if value_kind is None:
            reader.fail(f"a known field of {kind} (not {tag!r})", at)
        fields[tag.strip("<>")] = _READ_VALUE[value_kind](reader)


def _read_reals(reader: BinaryReader) -> NDArray[np.float32]:
    is_vector = reader.peek_token("a vector or matrix") in ("FV", "DV")
    return (reader.read_vector() if is_vector else reader.read_matrix()).astype(np.float32)


_READ_VALUE: dict[str, Callable[[BinaryReader], Any]] = {
    "int": BinaryReader.read_int,
    "float": BinaryReader.read_float,
    "bool": BinaryReader.read_bool,
    "array": _read_reals,
    "ints": BinaryReader.read_int_vector,
    "two floats": lambda reader: (reader.read_float(), reader.read_float()),
    "two ints": lambda reader: (reader.read_int(), reader.read_int()),
    "flag": lambda reader: True,
}


# --- from fields to components -----------------------------------------------------------------


def _affine(fields: _Fields, weight: str = "LinearParams") -> Component:
    matrix, bias = fields[weight], fields.get("BiasParams", np.empty(0, np.float32))
    offsets = [int(t) for t in fields.get("TimeOffsets", [0])]
    if matrix.ndim != 2 or not offsets or matrix.size == 0 or matrix.shape[1] % len(offsets):
        raise ValueError(f"weights {matrix.shape} at time offsets {offsets}")
    if bias.size not in (0, matrix.shape[0]):
        raise ValueError(f"weights {matrix.shape} and bias {bias.shape}")
    arrays = {"weight": matrix, "bias": bias} if bias.size else {"weight": matrix}
    return Component("affine", {"time_offsets": offsets}, arrays)


def _batch_norm(fields: _Fields) -> Component:
    dim, block = fields["Dim"], fields["BlockDim"]
    mean, variance = fields["StatsMean"], fields["StatsVar"]
    if fields["Count"] <= 0 or block <= 0 or dim % block or mean.shape != variance.shape:
        raise ValueError("no statistics to normalise with")
    if mean.shape != (block,):
        raise ValueError(f"statistics {mean.shape} for blocks of {block}")
    options = {"epsilon": fields["Epsilon"], "target_rms": fields["TargetRms"]}
    repeats = dim // block
    arrays = {"mean": np.tile(mean, repeats), "variance": np.tile(variance, repeats)}
    return Component("batch_norm", options, arrays)


def _scale_offset(fields: _Fields) -> Component:
    """FixedScale, FixedBias, PerElementScale, PerElementOffset and ScaleAndOffset."""
    names = {"Scales": "scale", "Params": "scale", "Bias": "offset", "Offsets": "offset"}
    arrays = {names[field]: fields[field].ravel() for field in fields if field in names}
    if not arrays:
        raise KeyError("Scales")
    width = next(iter(arrays.values())).size
    dim = int(fields.get("Dim", width))
    if width == 0 or dim % width or any(array.size != width for array in arrays.values()):
        raise ValueError(f"{width} scales for {dim} columns")
    return Component("scale_offset", {}, {k: np.tile(a, dim // width) for k, a in arrays.items()})


def _normalize(fields: _Fields) -> Component:
    dim = int(fields["InputDim"] if "InputDim" in fields else fields["Dim"])
    block = int(fields.get("BlockDim", dim))
    if block <= 0 or dim <= 0 or dim % block:
        raise ValueError(f"blocks of {block} in {dim} columns")
    options = {
        "block_dim": block,
        "target_rms": fields.get("TargetRms", 1.0),
        "add_log_stddev": fields.get("AddLogStddev", False),
    }
    return Component("normalize", options)


def _pnorm(fields: _Fields) -> Component:
    if fields["OutputDim"] <= 0 or fields["InputDim"] % fields["OutputDim"]:
        raise ValueError("groups of unequal size")
    return Component("pnorm", {"output_dim": fields["OutputDim"]})


def _sum_group(fields: _Fields) -> Component:
    sizes = fields["Sizes"]
    if sizes.size == 0 or sizes.min() <= 0:
        raise ValueError("an empty group")
    return Component("sum_group", {"sizes": sizes.tolist()})


def _permute(fields: _Fields) -> Component:
    columns = fields["ColumnMap"]
    if not np.array_equal(np.sort(columns), np.arange(columns.size)):
        raise ValueError("columns that are not a permutation")
    return Component("permute", {"columns": columns.tolist()})


def _constant(fields: _Fields) -> Component:
    return Component("constant", {}, {"output": fields["Output"]})


def _plain(kind: str) -> Callable[[_Fields], Component]:
    return lambda fields: Component(kind)


_BUILDERS: dict[str, Callable[[_Fields], Component]] = {
    "AffineComponent": _affine,
    "NaturalGradientAffineComponent": _affine,
    "FixedAffineComponent": _affine,
    "LinearComponent": lambda fields: _affine(fields, "Params"),
    "TdnnComponent": _affine,
    "BatchNormComponent": _batch_norm,
    "FixedScaleComponent": _scale_offset,
    "FixedBiasComponent": _scale_offset,
    "PerElementScaleComponent": _scale_offset,
    "NaturalGradientPerElementScaleComponent": _scale_offset,
    "PerElementOffsetComponent": _scale_offset,
    "ScaleAndOffsetComponent": _scale_offset,
    "RectifiedLinearComponent": _plain("relu"),
    "SigmoidComponent": _plain("sigmoid"),
    "TanhComponent": _plain("tanh"),
    "SoftmaxComponent": _plain("softmax"),
    "LogSoftmaxComponent": _plain("log_softmax"),
    "NoOpComponent": _plain("identity"),
    "DropoutComponent": _plain("identity"),
    "GeneralDropoutComponent": _plain("identity"),
    "SpecAugmentTimeMaskComponent": _plain("identity"),
    "NormalizeComponent": _normalize,
    "PnormComponent": _pnorm,
    "SumGroupComponent": _sum_group,
    "PermuteComponent": _permute,
    "ConstantFunctionComponent": _constant,
}
