"""A network's hidden layers under a new output: what one task taught them serves another."""

from __future__ import annotations

import numpy as np

from asr.acoustic.network import AcousticNetwork
from asr.acoustic.nnet import Nnet
from asr.acoustic.spec import Component, NnetSpec, Node
from asr.acoustic.trainable import TrainableNnet
from asr.errors import ModelError


def with_new_output(network: AcousticNetwork, pdfs: int) -> Nnet:
    """The network with another last layer.

    It begins at zero, as Kaldi's do: all pdfs are alike at first, whatever the layers before say.

    Args:
        network: a graph, such as a TDNN-F; it is not changed.
        pdfs: width of the new output.

    Raises:
        ModelError: it is no graph, or its output is not that of an affine layer.
    """
    if not isinstance(network, Nnet):
        raise ModelError("its network has no layers that another could begin with: take a TDNN-F")
    if isinstance(network, TrainableNnet):
        network = network.to_nnet()
    graph = network.to_graph()
    last = _last_affine(graph, network.output)
    old = graph.components[last.component]
    width = old.arrays["weight"].shape[1]
    arrays = {
        "weight": np.zeros((pdfs, width), np.float32),
        "bias": np.zeros(pdfs, np.float32),
    }
    components = {**graph.components, last.component: Component("affine", old.options, arrays)}
    return Nnet(NnetSpec(graph.nodes, components), network.subsampling, network.output)


def _last_affine(graph: NnetSpec, output: str) -> Node:
    """The node that the output is a copy of."""
    node = graph.nodes.get(graph.nodes[output].source)
    component = None if node is None else graph.components.get(node.component)
    if node is None or component is None or component.kind != "affine":
        raise ModelError("its output is not that of an affine layer: another cannot take its place")
    return node
