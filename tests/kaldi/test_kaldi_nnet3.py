"""Reading networks; their outputs are compared with those of Kaldi's own C++."""

from pathlib import Path

import kaldi_writer as kw
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from korean_model_data import GOLDEN, read_golden, vosk_dir

from asr.acoustic.nnet import Nnet
from asr.errors import ModelError
from asr.kaldi.nnet3 import read_acoustic_model, read_nnet3


@pytest.fixture(scope="module")
def korean_nnet() -> Nnet:
    return Nnet(read_nnet3(vosk_dir() / "am" / "final.mdl"))


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("with_ivector", [True, False])
def test_outputs_equal_kaldis(
    korean_nnet: Nnet, name: str, fused: bool, with_ivector: bool
) -> None:
    golden = read_golden(name)
    nnet = korean_nnet.fused() if fused else korean_nnet
    ivector = torch.from_numpy(golden["ivector"]) * with_ivector
    with torch.inference_mode():
        output, lengths = nnet(torch.from_numpy(golden["mfcc"])[None], ivector[None])
    expected = golden["nnet_output" if with_ivector else "nnet_output_zero_ivector"]
    assert lengths.tolist() == [len(expected)]
    assert np.abs(output[0].numpy() - expected).max() <= 1e-3


def test_shape_of_the_korean_model(
    korean_nnet: Nnet,
) -> None:
    assert (korean_nnet.left_context, korean_nnet.right_context) == (34, 34)
    assert (korean_nnet.feature_dim, korean_nnet.ivector_dim) == (40, 100)
    assert korean_nnet.num_pdfs == 2616
    model = read_acoustic_model(vosk_dir() / "am" / "final.mdl")
    assert model.priors.size == 0
    assert model.transitions is not None and model.transitions.num_pdfs == 2616
    xent = Nnet(model.nnet, output="output-xent")
    with torch.inference_mode():
        output, _ = xent(torch.zeros(1, 9, 40), torch.zeros(1, 100))
    torch.testing.assert_close(output.exp().sum(2), torch.ones(1, 3), atol=1e-4, rtol=0)


RNG = np.random.default_rng(0)
CONFIG = """
input-node name=input dim=4
component-node name=a component=a input=Append(Offset(input, -1), input)
component-node name=b component=b input=a
dim-range-node name=half input-node=b dim-offset=1 dim=2
component-node name=c component=c input=Sum(half, Scale(0.5, half))
output-node name=output input=c objective=linear
"""
AFFINE = {
    "LearningRate": kw.real(0.1),
    "LinearParams": kw.matrix(RNG.normal(size=(4, 8))),
    "BiasParams": kw.vector(RNG.normal(size=4)),
}
BATCH_NORM = {
    "Dim": kw.int32(4),
    "BlockDim": kw.int32(2),
    "Epsilon": kw.real(0.001),
    "TargetRms": kw.real(1.0),
    "TestMode": kw.boolean(False),
    "Count": kw.real(10.0),
    "StatsMean": kw.vector([0.5, -0.5]),
    "StatsVar": kw.vector([2.0, 0.5]),
}
TDNN = {
    "MaxChange": kw.real(0.75),
    "TimeOffsets": kw.ints([0, 3]),
    "LinearParams": kw.matrix(RNG.normal(size=(3, 4))),
    "BiasParams": kw.vector([]),
    "OrthonormalConstraint": kw.real(-1.0),
    "UseNaturalGradient": kw.boolean(True),
    "NumSamplesHistory": kw.real(2000.0),
    "AlphaInOut": kw.real(4.0) + kw.real(4.0),
    "RankInOut": kw.int32(2) + kw.int32(3),
}


def small_file(**changes: bytes) -> bytes:
    components = {
        "a": kw.component("NaturalGradientAffineComponent", **AFFINE),
        "b": kw.component("BatchNormComponent", **BATCH_NORM),
        "c": kw.component("TdnnComponent", **TDNN),
    }
    return kw.MARK + kw.nnet(CONFIG, {**components, **changes})


def read(tmp_path: Path, data: bytes) -> Nnet:
    (tmp_path / "final.raw").write_bytes(data)
    return Nnet(read_nnet3(tmp_path / "final.raw"), subsampling=1)


def test_raw_networks_and_block_batch_norm(tmp_path: Path) -> None:
    nnet = read(tmp_path, small_file())
    x = RNG.normal(size=(1, 6, 4)).astype(np.float32)
    output, _ = nnet(torch.from_numpy(x))
    padded = np.concatenate([x[0, :1], x[0], *[x[0, -1:]] * 3])
    weight = np.frombuffer(AFFINE["LinearParams"][13:], "<f4").reshape(4, 8)
    bias = np.frombuffer(AFFINE["BiasParams"][8:], "<f4")
    a = np.hstack([padded[:-1], padded[1:]]) @ weight.T + bias
    mean, variance = np.tile([0.5, -0.5], 2), np.tile([2.0, 0.5], 2)
    b = (a - mean) / np.sqrt(variance + 0.001)
    half = 1.5 * b[:, 1:3]
    tdnn = np.frombuffer(TDNN["LinearParams"][13:], "<f4").reshape(3, 4)
    expected = np.hstack([half[:-3], half[3:]]) @ tdnn.T
    np.testing.assert_allclose(output[0].detach().numpy(), expected, atol=1e-5)


def test_an_unsupported_component_is_named(tmp_path: Path) -> None:
    data = small_file(b=kw.component("LstmNonlinearityComponent", Dim=kw.int32(4)))
    with pytest.raises(ModelError, match=r"final\.raw.*'b'.*LstmNonlinearityComponent"):
        read(tmp_path, data)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"Dimm": kw.int32(4)}, "<Dimm>"),
        ({"Count": kw.real(0.0)}, "no statistics"),
        ({"StatsVar": kw.vector([1.0])}, "component 'b'"),
        ({"BlockDim": kw.int32(3)}, "component 'b'"),
    ],
)
def test_unsound_components_are_refused(
    tmp_path: Path, changes: dict[str, bytes], message: str
) -> None:
    data = small_file(b=kw.component("BatchNormComponent", **{**BATCH_NORM, **changes}))
    with pytest.raises(ModelError, match=message):
        read(tmp_path, data)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (CONFIG.replace("dim=4", "dim=5"), "takes 8 columns"),
        (CONFIG.replace("component=c", "component=d"), "a component named 'd'"),
        (CONFIG.replace("input=a", "input=Add(a)"), "expected an operator"),
        (CONFIG.replace("input=a", "input=missing"), "no node 'missing'"),
        (CONFIG.replace("input=a", "input=Sum(a, c)"), "recurrent"),
        (CONFIG.replace("input=a", "input=IfDefined(a)"), "IfDefined"),
        (CONFIG.replace("dim-range-node", "odd-node"), "describes a node"),
        (CONFIG.replace("dim-offset=1", "dim-offset=3"), "columns that its source"),
        (CONFIG.replace("objective=linear", "").replace("input=c", ""), "complete output-node"),
    ],
)
def test_unsound_graphs_are_refused(tmp_path: Path, config: str, message: str) -> None:
    data = small_file().replace(CONFIG.strip().encode(), config.strip().encode())
    with pytest.raises(ModelError, match=message):
        read(tmp_path, data)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(-1, 255))
def test_damaged_files_give_a_network_or_a_model_error(
    tmp_path_factory: pytest.TempPathFactory, place: float, value: int
) -> None:
    data = bytearray(small_file())
    at = int(place * len(data))
    if value < 0:
        del data[at:]
    else:
        data[at] = value
    try:
        nnet = read(tmp_path_factory.mktemp("nnet"), bytes(data))
    except ModelError:
        return
    assert value >= 0, "a cut file was accepted"
    output, _ = nnet(torch.zeros(1, 4, 4))
    assert output.shape == (1, 4, nnet.num_pdfs)


@pytest.mark.parametrize("share", [0.0, 1e-6, 0.005, 0.0117, 0.012, 0.3, 0.7, 0.99, 0.999999])
def test_the_korean_model_cut_short(tmp_path: Path, share: float) -> None:
    data = (vosk_dir() / "am" / "final.mdl").read_bytes()
    (tmp_path / "final.mdl").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelError, match=r"final\.mdl"):
        read_acoustic_model(tmp_path / "final.mdl")
