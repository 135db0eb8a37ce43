"""Putting a new network together, node by node, with random weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from asr.acoustic.spec import Component, NnetSpec, Node
from asr.acoustic.trainable import INPUT_NORM

BATCH_NORM_OPTIONS = {"epsilon": 0.001, "target_rms": 1.0}
"""Kaldi's defaults."""


class GraphBuilder:
    """Adds nodes; each method returns the name of its node, to be read by the next.

    Args:
        feature_dim: width of the features.
        ivector_dim: width of the i-vector, 0 = none.
        seed: of the weights.
    """

    def __init__(self, feature_dim: int, ivector_dim: int, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes = {"input": Node("input", "input", dim=feature_dim)}
        self._components: dict[str, Component] = {}
        self._dims = {"input": feature_dim}
        if ivector_dim:
            self._nodes["ivector"] = Node("ivector", "input", dim=ivector_dim)
            self._dims["ivector"] = ivector_dim

    def component(self, name: str, source: str, dim: int, component: Component) -> str:
        """A component node of width ``dim`` that reads the descriptor ``source``."""
        self._nodes[name] = Node(name, "component", source, name)
        self._components[name] = component
        self._dims[name] = dim
        return name

    def dim(self, name: str) -> int:
        """The width of a node."""
        return self._dims[name]

    def input_norm(self) -> str:
        """Features less their mean, over their deviation; does nothing until it is told them."""
        dim = self._dims["input"]
        arrays = {"scale": np.ones(dim, np.float32), "offset": np.zeros(dim, np.float32)}
        return self.component(INPUT_NORM, "input", dim, Component("scale_offset", {}, arrays))

    def spliced(self, source: str, offsets: Sequence[int]) -> tuple[str, int]:
        """The descriptor of frames side by side, with the i-vector if there is one; its width."""
        parts = [f"Offset({source}, {t})" if t else source for t in offsets]
        width = self._dims[source] * len(offsets)
        if "ivector" in self._dims:
            parts.append("ReplaceIndex(ivector, t, 0)")
            width += self._dims["ivector"]
        return (f"Append({', '.join(parts)})" if len(parts) > 1 else parts[0]), width

    def affine(self, name: str, source: str, width: int, dim: int, zero: bool = False) -> str:
        """W x + b; weights of variance 1 / width, or 0 with ``zero``; b = 0."""
        arrays = {
            "weight": self._weight(dim, width, zero),
            "bias": np.zeros(dim, np.float32),
        }
        return self.component(name, source, dim, Component("affine", {"time_offsets": [0]}, arrays))

    def affine_behind_sigmoid(self, name: str, source: str, dim: int) -> str:
        """W (x − ½), for x between 0 and 1.

        With weights four times as large as elsewhere, for a sigmoid's slope is a quarter at most
        (X. Glorot and Y. Bengio, 2010); otherwise deep stacks of them hardly begin to learn.
        """
        weight = 4.0 * self._weight(dim, self._dims[source], False)
        component = Component(
            "affine", {"time_offsets": [0]}, {"weight": weight, "bias": -0.5 * weight.sum(axis=1)}
        )
        return self.component(name, source, dim, component)

    def tdnn(
        self, name: str, source: str, dim: int, offsets: Sequence[int], factor: bool = False
    ) -> str:
        """Σ W_i x(t + offset_i); ``factor``: no bias, and kept semi-orthogonal."""
        width = self._dims[source] * len(offsets)
        arrays = {"weight": self._weight(dim, width, False)}
        if not factor:
            arrays["bias"] = np.zeros(dim, np.float32)
        options = {"time_offsets": list(offsets), **({"orthonormal": -1.0} if factor else {})}
        return self.component(name, source, dim, Component("affine", options, arrays))

    def pointwise(self, name: str, source: str, kind: str) -> str:
        """A function without parameters, such as "relu"."""
        return self.component(name, source, self._dims[source], Component(kind))

    def batch_norm(self, name: str, source: str) -> str:
        """Batch normalisation that has seen nothing yet."""
        dim = self._dims[source]
        arrays = {"mean": np.zeros(dim, np.float32), "variance": np.ones(dim, np.float32)}
        return self.component(
            name, source, dim, Component("batch_norm", dict(BATCH_NORM_OPTIONS), arrays)
        )

    def dropout(self, name: str, source: str) -> str:
        """A place for dropout; a copy in inference."""
        return self.component(
            name, source, self._dims[source], Component("identity", {"dropout": "continuous"})
        )

    def sum(self, name: str, source: str, dim: int) -> str:
        """A copy of a descriptor's value."""
        return self.component(name, source, dim, Component("identity"))

    def output(self, name: str, source: str) -> None:
        """An output node."""
        self._nodes[name] = Node(name, "output", source)

    def spec(self) -> NnetSpec:
        """The graph."""
        return NnetSpec(self._nodes, self._components)

    def _weight(self, rows: int, columns: int, zero: bool) -> NDArray[np.float32]:
        if zero:
            return np.zeros((rows, columns), np.float32)
        values = self._random.normal(scale=columns**-0.5, size=(rows, columns))
        return values.astype(np.float32)
