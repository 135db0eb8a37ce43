"""The description of a network: a graph of nodes and the components they run.

It is what the reader of a foreign format produces, what a bundle stores (JSON and named arrays)
and what :class:`asr.acoustic.nnet.Nnet` executes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from numpy.typing import NDArray

from asr.errors import ModelError

FORMAT = "nnet3 graph"
VERSION = 1
NODE_KINDS = ("input", "component", "descriptor", "dim-range", "output")


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the graph.

    Attributes:
        name: unique.
        kind: one of ``NODE_KINDS``.
        source: the descriptor it reads ("" for inputs).
        component: name of its component (kind "component").
        dim: width of an input or a dim-range.
        dim_offset: first column of a dim-range.
    """

    name: str
    kind: str
    source: str = ""
    component: str = ""
    dim: int = 0
    dim_offset: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Component:
    """What a component node computes: a kind, numbers and arrays.

    Kinds: ``affine`` (weight [out, in × offsets], bias [out] or none, option time_offsets),
    ``batch_norm`` (mean, variance; epsilon, target_rms), ``scale_offset`` (scale, offset; either
    may be absent), ``relu``, ``sigmoid``, ``tanh``, ``softmax``, ``log_softmax``, ``identity``,
    ``normalize`` (target_rms, block_dim, add_log_stddev), ``pnorm`` (output_dim),
    ``sum_group`` (sizes), ``permute`` (columns), ``constant`` (output). Narrow vectors (block-wise
    batch norm) are repeated by the reader to the full width.
    """

    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class NnetSpec:
    """A whole network.

    Attributes:
        nodes: in file order, by name.
        components: by name.
    """

    nodes: dict[str, Node]
    components: dict[str, Component]

    def to_json(self) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
        """A JSON-able description and the arrays as ``component/array``."""
        description = {
            "format": FORMAT,
            "version": VERSION,
            "nodes": [asdict(node) for node in self.nodes.values()],
            "components": {
                name: {"kind": c.kind, "options": c.options, "arrays": sorted(c.arrays)}
                for name, c in self.components.items()
            },
        }
        arrays = {
            f"{name}/{key}": array
            for name, component in self.components.items()
            for key, array in component.arrays.items()
        }
        return description, arrays

    @classmethod
    def from_json(
        cls, description: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
    ) -> NnetSpec:
        """Inverse of :meth:`to_json`.

        Raises:
            ModelError: another format, a newer version, or a missing array.
        """
        if description.get("format") != FORMAT:
            raise ModelError(f"the network's format is not {FORMAT!r}; import the model again")
        if description.get("version", 0) > VERSION:
            raise ModelError("the network was written by a newer version; update Malsori")
        try:
            nodes = {node["name"]: Node(**node) for node in description["nodes"]}
            components = {
                name: Component(
                    entry["kind"],
                    dict(entry["options"]),
                    {key: arrays[f"{name}/{key}"] for key in entry["arrays"]},
                )
                for name, entry in description["components"].items()
            }
        except (KeyError, TypeError) as error:
            raise ModelError(f"the network's description is damaged ({error})") from None
        return cls(nodes, components)
