"""Hidden layers of one network under the output of another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from asr.acoustic.conformer import Conformer, ConformerConfig
from asr.acoustic.new_output import with_new_output
from asr.acoustic.nnet import Nnet
from asr.acoustic.tdnnf import Tdnnf, TdnnfConfig
from asr.errors import ModelError

CONFIG = TdnnfConfig(
    6, 5, ivector_dim=3, dim=16, bottleneck=8, strides=(1, 0, 3), prefinal=12, xent=False
)


def trained() -> Nnet:
    """A network whose output is not all zero."""
    torch.manual_seed(0)
    network = Tdnnf(CONFIG)
    with torch.no_grad():
        for weight in network.parameters():
            weight.copy_(0.3 * torch.randn_like(weight))
    return network.fused()


def test_the_output_is_new_and_the_rest_is_not() -> None:
    network = trained()
    feats, ivectors = torch.randn(2, 31, 6), torch.randn(2, 3)
    other = with_new_output(network, 7)
    scores, lengths = other(feats, ivectors)
    assert scores.shape == (2, 11, 7) and lengths.tolist() == [11, 11]
    assert not scores.any()
    old, new = network.to_graph(), other.to_graph()
    last = old.nodes[old.nodes["output"].source].component
    assert list(old.nodes) == list(new.nodes)
    for name in old.components.keys() - {last}:
        for key, array in old.components[name].arrays.items():
            np.testing.assert_array_equal(array, new.components[name].arrays[key])


def test_networks_that_cannot_serve() -> None:
    with pytest.raises(ModelError, match="take a TDNN-F"):
        with_new_output(Conformer(ConformerConfig(6, 5, dim=8, heads=2, layers=1)), 7)
    assert with_new_output(Tdnnf(CONFIG), 7).num_pdfs == 7
    graph = Tdnnf(TdnnfConfig(6, 5, dim=8, bottleneck=4, strides=(1,), prefinal=4)).to_graph()
    with pytest.raises(ModelError, match="not that of an affine layer"):
        with_new_output(Nnet(graph, 3, "output-xent"), 7)
