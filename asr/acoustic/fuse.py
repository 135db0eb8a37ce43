"""Rewrite a network for inference: the same function in fewer and cheaper steps.

Copies are removed, batch norm is folded into the affine layer before it (through a ReLU, whose
scale commutes), and an affine layer into the next where that saves work.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from asr.acoustic.descriptor import Descriptor, parse_descriptor
from asr.acoustic.spec import Component, NnetSpec, Node


def fuse(spec: NnetSpec, output: str) -> NnetSpec:
    """An equal network with fewer steps; nodes that ``output`` does not need are kept as they are.

    Args:
        spec: the network; not changed.
        output: the output node, which keeps its name.
    """
    graph = _Graph(spec)
    graph.drop_identities()
    graph.turn_batch_norms_into_scales()
    for name in list(graph.nodes):
        graph.fold_scale(name)
    graph.drop_identities()
    for name in list(graph.nodes):
        graph.fold_affine(name)
    graph.drop_identities()
    return NnetSpec(graph.nodes, graph.components)


class _Graph:
    """A network while it is rewritten: every component node gets a component of its own name."""

    def __init__(self, spec: NnetSpec) -> None:
        self.nodes: dict[str, Node] = {}
        self.components: dict[str, Component] = {}
        for name, node in spec.nodes.items():
            self.nodes[name] = node
            if node.kind == "component":
                self.nodes[name] = replace(node, component=name)
                self.components[name] = spec.components[node.component]
        self.sources = {n: parse_descriptor(x.source) for n, x in self.nodes.items() if x.source}

    def component(self, name: str, *kinds: str) -> Component | None:
        """The component of a node if it is of one of these kinds."""
        component = self.components.get(name)
        return component if component is not None and component.kind in kinds else None

    def only_source(self, name: str) -> str | None:
        """The node that ``name`` reads, if just that, unchanged, and nobody else reads it."""
        tree = self.sources[name]
        if tree.op != "Node":
            return None
        readers = Counter(source for other in self.sources.values() for source in other.nodes())
        return tree.name if readers[tree.name] == 1 else None

    def set_source(self, name: str, tree: Descriptor) -> None:
        self.sources[name] = tree
        self.nodes[name] = replace(self.nodes[name], source=_text(tree))

    def drop_identities(self) -> None:
        """Readers of a copy read its original; a copy of an expression becomes a plain node."""
        for name in list(self.nodes):
            if self.component(name, "identity") is None:
                continue
            tree = self.sources[name]
            if tree.op != "Node":
                del self.components[name]
                self.nodes[name] = replace(self.nodes[name], kind="descriptor", component="")
                continue
            for reader, source in list(self.sources.items()):
                if name in source.nodes():
                    self.set_source(reader, _renamed(source, name, tree.name))
            del self.nodes[name], self.components[name], self.sources[name]

    def turn_batch_norms_into_scales(self) -> None:
        for name, component in list(self.components.items()):
            if component.kind == "batch_norm":
                variance = component.arrays["variance"].astype(np.float64)
                scale = component.options["target_rms"] / np.sqrt(
                    variance + component.options["epsilon"]
                )
                offset = -component.arrays["mean"].astype(np.float64) * scale
                self.components[name] = Component(
                    "scale_offset", {}, {"scale": scale, "offset": offset}
                )

    def fold_scale(self, name: str) -> None:
        """affine → scale becomes affine; affine → ReLU → scale keeps only the offset behind."""
        component = self.component(name, "scale_offset")
        source = self.only_source(name) if component else None
        if component is None or source is None:
            return
        arrays = dict(component.arrays)
        if self.component(source, "affine"):
            self.components[source] = _scaled(
                self.components[source], arrays.get("scale"), arrays.get("offset")
            )
            self.components[name] = Component("identity")
            return
        before = self.only_source(source) if self.component(source, "relu") else None
        scale = arrays.get("scale")
        if before is None or scale is None or not self.component(before, "affine"):
            return
        if np.all(scale > 0):  # then relu(s x) = s relu(x)
            self.components[before] = _scaled(self.components[before], arrays.pop("scale"), None)
            self.components[name] = (
                Component("scale_offset", {}, arrays) if arrays else Component("identity")
            )

    def fold_affine(self, name: str) -> None:
        """affine → affine becomes one affine where the product needs fewer multiplications."""
        second = self.component(name, "affine")
        source = self.only_source(name) if second else None
        first = self.component(source, "affine") if source else None
        if first is None or second is None or source is None:
            return
        if first.options["time_offsets"] != [0] or second.options["time_offsets"] != [0]:
            return
        w1, w2 = (c.arrays["weight"].astype(np.float64) for c in (first, second))
        if w1.shape[1] * w2.shape[0] > w1.size + w2.size:
            return
        bias = np.asarray(second.arrays.get("bias", np.zeros(len(w2))), np.float64)
        if "bias" in first.arrays:
            bias = bias + w2 @ first.arrays["bias"]
        self.components[name] = Component(
            "affine", second.options, {"weight": w2 @ w1, "bias": bias}
        )
        self.components[source] = Component("identity")
        self._bypass(source, name)

    def _bypass(self, copy: str, reader: str) -> None:
        """Let ``reader`` read what the node ``copy``, which it alone reads, reads."""
        self.set_source(reader, self.sources[copy])
        del self.nodes[copy], self.components[copy], self.sources[copy]


def _scaled(affine: Component, scale: np.ndarray | None, offset: np.ndarray | None) -> Component:
    weight = affine.arrays["weight"].astype(np.float64)
    bias = np.asarray(affine.arrays.get("bias", np.zeros(len(weight))), np.float64)
    if scale is not None:
        weight, bias = weight * scale[:, None], bias * scale
    if offset is not None:
        bias = bias + offset
    arrays = {"weight": weight, "bias": bias} if bias.any() else {"weight": weight}
    return Component("affine", affine.options, arrays)


def _renamed(tree: Descriptor, old: str, new: str) -> Descriptor:
    if tree.op == "Node":
        return replace(tree, name=new) if tree.name == old else tree
    return replace(tree, parts=tuple(_renamed(part, old, new) for part in tree.parts))


def _text(tree: Descriptor) -> str:
    """A descriptor as text; inverse of ``parse_descriptor``."""
    if tree.op == "Node":
        return tree.name
    parts = [_text(part) for part in tree.parts]
    numbers = [f"{number:g}" if number == int(number) else repr(number) for number in tree.numbers]
    if tree.op in ("Scale", "Const"):
        return f"{tree.op}({', '.join(numbers[:1] + parts + numbers[1:])})"
    names = [tree.name] if tree.op == "ReplaceIndex" else []
    return f"{tree.op}({', '.join(parts + names + numbers)})"
