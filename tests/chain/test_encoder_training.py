"""A network on a little encoder's states, in rooms and noise; a killed run hears nothing twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mono_system import mono_system, small_lm
from test_finetuning import NARROW, shipped_speech
from torch import Tensor

from asr import chain_training
from asr.bundle import open_bundle
from asr.chain_training import ChainConfig, train_chain
from asr.cli.main import main
from asr.data.conditions import ConditionsConfig
from asr.encoders.whisper import WhisperConfig, WhisperEncoder
from asr.supervised_speech import STATES_FOLDER
from asr.training.config import TrainConfig

SIZE = WhisperConfig(dim=64, heads=1, layers=2, inner=64, mels=80, positions=1500)
TRAINING = TrainConfig(
    steps=4, learning_rate=3e-3, final_learning_rate=1e-3, max_frames=100_000, log_every=1,
    rates=(("network.mix", 10.0),),
)  # fmt: skip
NETWORK = {"kind": "encoder-top", "layers": 1, "mixed": 2, "heads": 1, "inner": 64, "dim": 32}
CONFIG = ChainConfig(
    leaves=60, network=NETWORK, speeds=(1.0, 0.9), training=TRAINING,
    augment=ConditionsConfig(copies=1),
)  # fmt: skip


class Counting(WhisperEncoder):
    heard = 0

    def encode(
        self, sounds: list[np.ndarray], layers: int, side_by_side: int = 1
    ) -> tuple[Tensor, Tensor]:
        self.heard += len(sounds)
        return super().encode(sounds, layers, side_by_side)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mono_system(tmp_path_factory.mktemp("gmm") / "mono")


@pytest.fixture
def encoder() -> Counting:
    torch.manual_seed(0)
    return Counting(SIZE, {"name": "small", "sha256": "0" * 64}).requires_grad_(False).eval()


def test_it_goes_on_with_what_it_had_heard(
    system: Path, encoder: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asr

    speech, dev = shipped_speech()[:5], shipped_speech()[5:7]
    whole = 3 * len(speech) + 2 * len(dev)
    lm = small_lm(tmp_path)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(chain_training, "train_lfmmi", killed)
        train_chain(system, speech, tmp_path / "out", tmp_path / "work", encoder=encoder, dev=dev,
                    lm=lm, config=CONFIG)  # fmt: skip
    heard = encoder.heard
    assert whole - 3 <= heard <= whole  # a copy that nothing happened to was heard already
    assert (tmp_path / "work" / STATES_FOLDER).is_dir()
    report = train_chain(system, speech, tmp_path / "out", tmp_path / "work", encoder=encoder,
                         dev=dev, lm=lm, config=CONFIG)  # fmt: skip
    assert encoder.heard == heard
    assert not list((tmp_path / "work" / STATES_FOLDER).iterdir())
    assert report.utterances == len(speech)
    assert {"dev/mmi", "noisy/mmi"} <= set(report.summary.metrics)
    lines = (tmp_path / "work" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    found = [row["train/mmi"] for row in map(json.loads, lines) if "train/mmi" in row]
    assert found[-1] > found[0]
    sections = open_bundle(tmp_path / "out").manifest.sections
    assert sections["features"]["mixed"] == 2
    assert sections["training"][0]["augment"]["copies"] == 1
    assert sections["rescoring"]["attention_scale"] == 0.0  # nobody has this encoder's decoder
    result = asr.load(tmp_path / "out").transcribe(speech[0].path, decoder=NARROW)
    assert isinstance(result.text, str)


def test_options_of_augmentation(
    system: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "wav.scp").write_text(f"a {shipped_speech()[0].path}\n")
    (data / "text").write_text("a 말\n", encoding="utf-8")
    (data / "utt2spk").write_text("a a\n")
    (data / "spk2utt").write_text("a a\n")
    options = tmp_path / "options.json"
    words = ["train", str(data), str(tmp_path / "out"), "--system", str(system)]
    for text, more, message in (
        ('{"rooms": 0.5}', [], "say how many"),
        ('{"rooms": 5}', ["--augment", "1"], "probabilities"),
        ('{"cellars": 1}', ["--augment", "1"], "cannot be understood"),
        ("[]", ["--augment", "1"], "is not an object"),
    ):
        options.write_text(text)
        assert main([*words, "--augment-options", str(options), *more]) == 2
        assert message in capsys.readouterr().err
