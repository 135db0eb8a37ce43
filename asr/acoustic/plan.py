"""Which frames of which node a network needs, and how wide each node is.

A network with context and subsampling does not need every frame of every layer. Requirements run
backwards from the output: each node gets a *grid*, the arithmetic sequence of frames that its
readers ask for. The layers behind the last odd time offset of a chain model with subsampling 3
thus compute every third frame only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from asr.acoustic.descriptor import Descriptor, parse_descriptor
from asr.acoustic.spec import Component, NnetSpec, Node
from asr.errors import ModelError


@dataclass(frozen=True, slots=True)
class Grid:
    """Frames ``first, first + stride, …, last_output + last`` (t relative to output frame 0).

    ``first`` and ``last`` are offsets to the first and the last output frame's time, so a grid
    holds for any number of outputs.
    """

    first: int
    last: int
    stride: int

    def shifted(self, offset: int) -> Grid:
        """The same frames, ``offset`` later."""
        return Grid(self.first + offset, self.last + offset, self.stride)

    def merged(self, other: Grid | None) -> Grid:
        """The coarsest grid that holds the frames of both."""
        if other is None:
            return self
        stride = math.gcd(self.stride, other.stride, self.first - other.first)
        return Grid(min(self.first, other.first), max(self.last, other.last), stride)

    def count(self, outputs: int, subsampling: int) -> int:
        """How many frames for this many outputs."""
        return (subsampling * (outputs - 1) + self.last - self.first) // self.stride + 1


@dataclass(frozen=True, slots=True)
class Step:
    """One node, ready to compute.

    Attributes:
        node: what it is.
        source: its parsed descriptor, None for inputs.
        grid: the frames it yields, None if it is the same at all times.
        source_grid: the frames its descriptor is evaluated at.
        dim: its width.
    """

    node: Node
    source: Descriptor | None
    grid: Grid | None
    source_grid: Grid | None
    dim: int


def make_plan(spec: NnetSpec, output: str, subsampling: int, fixed: frozenset[str]) -> list[Step]:
    """The steps that lead to ``output``, in order of computation.

    Args:
        spec: the network.
        output: name of the output node.
        subsampling: input frames per output frame.
        fixed: inputs that are one vector an utterance (the i-vector).

    Raises:
        ModelError: a cycle (recurrent networks), a missing node, or widths that do not fit.
    """
    sources = _sources(spec)
    order = _order(spec, sources, output)
    dims = _dims(spec, sources, order)
    timeless = _timeless(spec, sources, order, fixed)
    grids, source_grids = _grids(spec, sources, order, timeless, subsampling)
    return [
        Step(
            spec.nodes[name],
            sources[name],
            grids[name],
            source_grids[name],
            dims[name],
        )
        for name in order
    ]


def descriptor_dim(tree: Descriptor, dims: Mapping[str, int]) -> int:
    """The width of what a descriptor yields; ModelError where parts do not fit."""
    if tree.op == "Node":
        return dims[tree.name]
    if tree.op == "Const":
        return int(tree.numbers[1])
    widths = [descriptor_dim(part, dims) for part in tree.parts]
    if tree.op == "Append":
        return sum(widths)
    if len(set(widths)) != 1:
        raise ModelError(f"the network adds nodes of widths {widths}")
    return widths[0]


def _sources(spec: NnetSpec) -> dict[str, Descriptor | None]:
    return {
        name: parse_descriptor(node.source) if node.kind != "input" else None
        for name, node in spec.nodes.items()
    }


def _order(spec: NnetSpec, sources: Mapping[str, Descriptor | None], output: str) -> list[str]:
    """Depth-first from the output, so nodes it does not need are left out."""
    order: list[str] = []
    on_path: set[str] = set()
    stack: list[tuple[str, Iterator[str]]] = []

    def enter(name: str) -> None:
        if name not in spec.nodes:
            raise ModelError(f"the network has no node {name!r}")
        if name in on_path:
            raise ModelError(f"the network is recurrent (node {name!r}), which is not supported")
        tree = sources[name]
        on_path.add(name)
        stack.append((name, iter(tree.nodes() if tree else ())))

    enter(output)
    done: set[str] = set()
    while stack:
        name, needed = stack[-1]
        following = next((other for other in needed if other not in done), None)
        if following is not None:
            enter(following)
            continue
        stack.pop()
        on_path.discard(name)
        done.add(name)
        order.append(name)
    return order


def _dims(
    spec: NnetSpec, sources: Mapping[str, Descriptor | None], order: list[str]
) -> dict[str, int]:
    dims: dict[str, int] = {}
    for name in order:
        node, tree = spec.nodes[name], sources[name]
        width = node.dim if tree is None else descriptor_dim(tree, dims)
        if node.kind == "component":
            dims[name] = component_dim(spec.components[node.component], width, node.component)
        elif node.kind == "dim-range":
            if not 0 <= node.dim_offset <= width - node.dim:
                raise ModelError(f"node {name!r} reads columns that its source does not have")
            dims[name] = node.dim
        else:
            dims[name] = width
        if dims[name] <= 0:
            raise ModelError(f"node {name!r} of the network has no width")
    return dims


def component_dim(component: Component, width: int, name: str) -> int:
    """The output width of a component at this input width; ModelError if it does not fit."""
    options, arrays = component.options, component.arrays
    wanted, out = width, width
    if component.kind == "affine":
        out, columns = arrays["weight"].shape
        wanted = columns // len(options["time_offsets"])
    elif component.kind in ("batch_norm", "scale_offset"):
        wanted = out = next(iter(arrays.values())).shape[0]
    elif component.kind == "pnorm":
        out = options["output_dim"]
        wanted = -(-width // out) * out
    elif component.kind == "sum_group":
        wanted, out = sum(options["sizes"]), len(options["sizes"])
    elif component.kind == "permute":
        wanted = out = len(options["columns"])
    elif component.kind == "constant":
        out = arrays["output"].shape[0]
    elif component.kind == "normalize":
        wanted = -(-width // options["block_dim"]) * options["block_dim"]
        out = width + (width // options["block_dim"] if options["add_log_stddev"] else 0)
    if wanted != width:
        raise ModelError(f"component {name!r} takes {wanted} columns, but its input has {width}")
    return int(out)


def _timeless(
    spec: NnetSpec,
    sources: Mapping[str, Descriptor | None],
    order: list[str],
    fixed: frozenset[str],
) -> set[str]:
    """Nodes with the same value at all times: the i-vector and what depends on it alone."""
    timeless = set(fixed)
    for name in order:
        tree = sources[name]
        if tree is not None and all(source in timeless for source in tree.nodes()):
            timeless.add(name)
    return timeless


def _grids(
    spec: NnetSpec,
    sources: Mapping[str, Descriptor | None],
    order: list[str],
    timeless: set[str],
    subsampling: int,
) -> tuple[dict[str, Grid | None], dict[str, Grid | None]]:
    grids: dict[str, Grid | None] = dict.fromkeys(order)
    source_grids: dict[str, Grid | None] = dict.fromkeys(order)
    grids[order[-1]] = Grid(0, 0, subsampling)
    for name in reversed(order):
        grid, tree = grids[name], sources[name]
        if name in timeless:
            grids[name] = None
        if tree is None or name in timeless or grid is None:
            continue
        node = spec.nodes[name]
        source_grid: Grid | None = None
        for offset in _time_offsets(spec, node):
            source_grid = grid.shifted(offset).merged(source_grid)
        source_grids[name] = source_grid
        for source, offset in _reads(tree, 0, timeless, name):
            assert source_grid is not None  # every component has at least one time offset
            grids[source] = source_grid.shifted(offset).merged(grids[source])
    return grids, source_grids


def _time_offsets(spec: NnetSpec, node: Node) -> list[int]:
    if node.kind != "component":
        return [0]
    return list(spec.components[node.component].options.get("time_offsets", [0]))


def _reads(
    tree: Descriptor, offset: int, timeless: set[str], name: str
) -> Iterator[tuple[str, int]]:
    """(node, time offset) of everything in a descriptor that varies with time."""
    if all(source in timeless for source in tree.nodes()):
        return
    if tree.op == "Node":
        yield tree.name, offset
        return
    if tree.op not in ("Append", "Sum", "Scale", "Offset"):
        raise ModelError(
            f"node {name!r} of the network uses {tree.op} of something that varies with time, "
            "which is not supported"
        )
    if tree.op == "Offset":
        offset += int(tree.numbers[0])
    for part in tree.parts:
        yield from _reads(part, offset, timeless, name)
