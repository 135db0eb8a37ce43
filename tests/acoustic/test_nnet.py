"""Executing networks: against a frame-by-frame evaluation of the graph's definition."""

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load, save

import asr.acoustic.nnet as nnet_module
from asr.acoustic.descriptor import Descriptor, parse_descriptor
from asr.acoustic.nnet import Nnet
from asr.acoustic.spec import Component, NnetSpec, Node
from asr.errors import ModelError, UsageError


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal up to rounding: products of other sizes are summed in another order."""
    size = float(expected.abs().max()) if expected.numel() else 1.0
    torch.testing.assert_close(found, expected, atol=2e-5 * size, rtol=0)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


FEW = settings(max_examples=30, deadline=None, derandomize=True)
IVECTOR_DIM = 3


class Builder:
    """Puts a network together node by node."""

    def __init__(self, seed: int, dim: int = 4) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes = {
            "input": Node("input", "input", dim=dim),
            "ivector": Node("ivector", "input", dim=IVECTOR_DIM),
        }
        self.components: dict[str, Component] = {}

    def add(self, name: str, source: str, component: Component | None = None) -> str:
        if component is None:
            self.nodes[name] = Node(name, "output", source)
        else:
            self.nodes[name] = Node(name, "component", source, name)
            self.components[name] = component
        return name

    def normal(self, *shape: int) -> np.ndarray:
        return self.rng.normal(size=shape).astype(np.float32)

    def affine(self, inputs: int, out: int, offsets: list[int], bias: bool = True) -> Component:
        arrays = {"weight": self.normal(out, inputs * len(offsets))}
        if bias:
            arrays["bias"] = self.normal(out)
        return Component("affine", {"time_offsets": offsets}, arrays)

    def batch_norm(self, dim: int) -> Component:
        arrays = {"mean": self.normal(dim), "variance": self.normal(dim) ** 2}
        return Component("batch_norm", {"epsilon": 0.001, "target_rms": 0.7}, arrays)

    def scale_offset(self, dim: int) -> Component:
        return Component(
            "scale_offset", {}, {"scale": self.normal(dim), "offset": self.normal(dim)}
        )

    def spec(self) -> NnetSpec:
        return NnetSpec(self.nodes, self.components)


def random_network(seed: int) -> NnetSpec:
    """A small TDNN-F-like network with random offsets, bypasses and component kinds."""
    b = Builder(seed)
    offset = int(b.rng.integers(1, 3))
    source = f"Append(Offset(input, -{offset}), input, ReplaceIndex(ivector, t, 0))"
    previous = b.add("lda", source, b.affine(8 + IVECTOR_DIM, 6, [0]))
    for layer in range(int(b.rng.integers(1, 4))):
        step = int(b.rng.integers(0, 4))
        linear, affine = sorted({-step, 0}), sorted({0, step, *[1] * int(b.rng.integers(2))})
        name = f"l{layer}"
        b.add(f"{name}.linear", previous, b.affine(6, 2, linear, bias=False))
        b.add(f"{name}.affine", f"{name}.linear", b.affine(2, 6, affine))
        b.add(f"{name}.relu", f"{name}.affine", Component("relu"))
        kind = b.batch_norm(6) if b.rng.integers(2) else b.scale_offset(6)
        b.add(f"{name}.norm", f"{name}.relu", kind)
        b.add(f"{name}.dropout", f"{name}.norm", Component("identity"))
        bypass = f"Sum(Scale(0.66, Offset({previous}, {-step})), {name}.dropout)"
        previous = b.add(f"{name}.noop", bypass, Component("identity"))
    b.nodes["part"] = Node("part", "dim-range", previous, dim=4, dim_offset=1)
    b.add("odd", "Sum(part, Const(0.5, 4))", Component("tanh"))
    b.add("prefinal", "odd", b.affine(4, 6, [0]))
    b.add("prefinal.norm", "prefinal", b.batch_norm(6))
    b.add("final", "prefinal.norm", b.affine(6, 5, [0]))
    b.add("output", "final")
    b.add("unused", previous, b.affine(6, 9, [0, 7]))
    return b.spec()


def by_definition(spec: NnetSpec, feats: np.ndarray, ivector: np.ndarray, t: int) -> np.ndarray:
    """The output at input frame t, by recursion over the graph in float64."""
    known: dict[tuple[str, int], np.ndarray] = {}

    def value(name: str, t: int) -> np.ndarray:
        if (name, t) not in known:
            known[name, t] = compute(spec.nodes[name], t)
        return known[name, t]

    def compute(node: Node, t: int) -> np.ndarray:
        if node.kind == "input":
            frame = feats[np.clip(t, 0, len(feats) - 1)] if node.name == "input" else ivector
            return frame.astype(np.float64)
        tree = parse_descriptor(node.source)
        if node.kind == "dim-range":
            return describe(tree, t)[node.dim_offset : node.dim_offset + node.dim]
        if node.kind != "component":
            return describe(tree, t)
        component = spec.components[node.component]
        if component.kind == "affine":
            x = np.hstack([describe(tree, t + o) for o in component.options["time_offsets"]])
            return component.arrays["weight"] @ x + component.arrays.get("bias", 0.0)
        return POINTWISE[component.kind](describe(tree, t), component)

    def describe(tree: Descriptor, t: int) -> np.ndarray:
        if tree.op == "Node":
            return value(tree.name, t)
        if tree.op == "Const":
            return np.full(int(tree.numbers[1]), tree.numbers[0])
        if tree.op == "Offset":
            return describe(tree.parts[0], t + int(tree.numbers[0]))
        parts = [describe(part, t) for part in tree.parts]
        if tree.op == "Append":
            return np.hstack(parts)
        return tree.numbers[0] * parts[0] if tree.op == "Scale" else np.sum(parts, axis=0)

    return value("output", t)


def _batch_norm(x: np.ndarray, c: Component) -> np.ndarray:
    scale = c.options["target_rms"] / np.sqrt(c.arrays["variance"] + c.options["epsilon"])
    return (x - c.arrays["mean"]) * scale


POINTWISE: dict[str, Callable[[np.ndarray, Component], np.ndarray]] = {
    "relu": lambda x, c: np.maximum(x, 0),
    "tanh": lambda x, c: np.tanh(x),
    "identity": lambda x, c: x,
    "batch_norm": _batch_norm,
    "scale_offset": lambda x, c: x * c.arrays["scale"] + c.arrays["offset"],
}


@FEW
@given(
    seed=st.integers(0, 10**6),
    frames=st.integers(1, 25),
    subsampling=st.integers(1, 4),
    fused=st.booleans(),
)
def test_equals_the_graphs_definition(
    seed: int, frames: int, subsampling: int, fused: bool
) -> None:
    spec = random_network(seed)
    rng = np.random.default_rng(seed + 1)
    feats, ivector = rng.normal(size=(frames, 4)), rng.normal(size=IVECTOR_DIM)
    nnet = Nnet(spec, subsampling)
    nnet = nnet.fused() if fused else nnet
    with torch.inference_mode():
        output, lengths = nnet(
            torch.tensor(feats, dtype=torch.float32)[None],
            torch.tensor(ivector, dtype=torch.float32)[None],
        )
    times = range(0, frames, subsampling)
    expected = np.stack([by_definition(spec, feats, ivector, t) for t in times])
    assert lengths.tolist() == [len(expected)]
    np.testing.assert_allclose(output[0].numpy(), expected, atol=2e-4, rtol=1e-3)


@FEW
@given(seed=st.integers(0, 10**6), lengths=st.lists(st.integers(0, 30), min_size=1, max_size=4))
def test_a_batch_gives_what_each_utterance_gives_alone(seed: int, lengths: list[int]) -> None:
    nnet = Nnet(random_network(seed))
    generator = torch.Generator().manual_seed(seed)
    feats = torch.randn(len(lengths), max(lengths) + 2, 4, generator=generator)
    ivectors = torch.randn(len(lengths), IVECTOR_DIM, generator=generator)
    with torch.inference_mode():
        outputs, output_lengths = nnet(feats, ivectors, torch.tensor(lengths))
        for row, length in enumerate(lengths):
            alone, _ = nnet(feats[row : row + 1, :length], ivectors[row : row + 1])
            count = int(output_lengths[row])
            assert count == alone.shape[1] == -(-length // 3)
            assert_same(outputs[row, :count], alone[0])
            assert not outputs[row, count:].any()


def test_chunks_do_not_change_the_outputs(monkeypatch: pytest.MonkeyPatch) -> None:
    nnet = Nnet(random_network(5)).fused()
    feats, ivectors = noise(2, 100, 4), noise(2, IVECTOR_DIM)
    with torch.inference_mode():
        whole, _ = nnet(feats, ivectors)
        monkeypatch.setattr(nnet_module, "_CPU_CHUNK", 1)
        monkeypatch.setattr(nnet_module, "_MIN_CHUNK", 4)
        assert_same(nnet(feats, ivectors)[0], whole)


def test_streaming_with_context_gives_the_same_outputs() -> None:
    nnet = Nnet(random_network(6)).fused()
    feats, ivectors = noise(1, 60, 4), noise(1, IVECTOR_DIM)
    left, right = nnet.left_context, nnet.right_context
    padded = torch.cat(
        [feats[:, :1].expand(-1, left, -1), feats, feats[:, -1:].expand(-1, right, -1)], dim=1
    )
    with torch.inference_mode():
        whole, _ = nnet(feats, ivectors)
        pieces = []
        for first in range(0, 20, 5):  # five outputs at a time
            window = padded[:, 3 * first : 3 * (first + 4) + 1 + left + right]
            pieces.append(nnet.forward_context(window, ivectors))
        assert_same(torch.cat(pieces, 1), whole)
        with pytest.raises(UsageError, match="context"):
            nnet.forward_context(padded[:, : left + right], ivectors)


def test_fusing_leaves_fewer_steps() -> None:
    spec = random_network(7)
    nnet = Nnet(spec)
    fused = nnet.fused()
    kinds = {c.kind for c in fused.to_graph().components.values()}
    assert not kinds & {"identity", "batch_norm"}
    assert len(fused.to_graph().nodes) < len(nnet.to_graph().nodes)
    assert not any(p.requires_grad for p in fused.parameters())


@pytest.mark.parametrize("fused", [False, True])
def test_description_and_tensors_round_trip(fused: bool) -> None:
    nnet = Nnet(random_network(8), subsampling=2)
    nnet = nnet.fused() if fused else nnet
    description, tensors = nnet.to_spec()
    stored = save({name: tensor.numpy() for name, tensor in tensors.items()})
    again = Nnet.from_spec(
        json.loads(json.dumps(description)),
        {name: torch.from_numpy(array.copy()) for name, array in load(stored).items()},
    )
    feats, ivectors = noise(1, 9, 4), noise(1, IVECTOR_DIM)
    with torch.inference_mode():
        assert torch.equal(nnet(feats, ivectors)[0], again(feats, ivectors)[0])


def test_damaged_descriptions_are_refused() -> None:
    description, tensors = Nnet(random_network(9)).to_spec()
    for change, message in (
        ({"format": "onnx"}, "format"),
        ({"version": 99}, "newer"),
        ({"nodes": [{"name": "x"}]}, "damaged"),
        ({"components": {}}, "damaged|lacks"),
    ):
        with pytest.raises(ModelError, match=message):
            Nnet.from_spec({**description, **change}, tensors)
    with pytest.raises(ModelError):
        Nnet.from_spec(description, dict(list(tensors.items())[1:]))
    lacking = {key: value for key, value in description.items() if key != "subsampling"}
    with pytest.raises(ModelError, match="lacks 'subsampling'"):
        Nnet.from_spec(lacking, tensors)


def test_inputs_of_wrong_shape_are_refused() -> None:
    nnet = Nnet(random_network(10))
    with pytest.raises(UsageError, match="frames, 4"):
        nnet(torch.zeros(1, 5, 3), torch.zeros(1, IVECTOR_DIM))
    with pytest.raises(UsageError, match="i-vectors"):
        nnet(torch.zeros(1, 5, 4))
    with pytest.raises(UsageError, match="lengths"):
        nnet(torch.zeros(1, 5, 4), torch.zeros(1, IVECTOR_DIM), torch.tensor([6]))


def test_every_parameter_can_be_trained() -> None:
    nnet = Nnet(random_network(11))
    output, _ = nnet(noise(2, 12, 4), noise(2, IVECTOR_DIM))
    output.square().mean().backward()
    assert all(p.grad is not None for p in nnet.parameters())
    weight = dict(nnet.named_parameters())
    assert sum(float(p.grad.abs().sum()) > 0 for p in weight.values()) >= len(weight) - 2


def run_single(component: Component, x: torch.Tensor) -> torch.Tensor:
    nodes = {
        "input": Node("input", "input", dim=x.shape[1]),
        "c": Node("c", "component", "input", "c"),
        "output": Node("output", "output", "c"),
    }
    with torch.inference_mode():
        return Nnet(NnetSpec(nodes, {"c": component}), 1)(x[None])[0][0]


def test_less_common_components() -> None:
    x = torch.tensor([[1.0, -2.0, 3.0, 0.5], [0.0, 0.0, 0.0, 0.0]])
    rms = x[0].square().mean().sqrt()
    options = {"block_dim": 4, "target_rms": 0.5, "add_log_stddev": True}
    normalized = run_single(Component("normalize", options), x)
    torch.testing.assert_close(normalized[0, :4], 0.5 * x[0] / rms)
    torch.testing.assert_close(normalized[0, 4], rms.log())
    assert normalized.isfinite().all()
    torch.testing.assert_close(
        run_single(Component("pnorm", {"output_dim": 2}), x)[0],
        torch.tensor([5.0**0.5, 9.25**0.5]),
    )
    assert run_single(Component("sum_group", {"sizes": [1, 3]}), x)[0].tolist() == [1.0, 1.5]
    assert run_single(Component("permute", {"columns": [3, 0, 1, 2]}), x)[0].tolist() == [
        0.5, 1.0, -2.0, 3.0,
    ]  # fmt: skip
    constant = Component("constant", {}, {"output": np.array([7.0, 8.0], np.float32)})
    assert run_single(constant, x).tolist() == [[7.0, 8.0]] * 2
    torch.testing.assert_close(run_single(Component("log_softmax"), x), x.log_softmax(1))
    torch.testing.assert_close(run_single(Component("softmax"), x), x.softmax(1))
    torch.testing.assert_close(run_single(Component("sigmoid"), x), x.sigmoid())
    with pytest.raises(ModelError, match="unknown kind 'lstm'"):
        run_single(Component("lstm"), x)
