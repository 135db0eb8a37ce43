"""`asr pretrain` and `asr train-ivector`, as users run them."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.acoustic.networks import load_network
from asr.cli.main import main
from asr.errors import ModelError
from asr.features.ivector import IvectorExtractor
from asr.ivector_model import SpeechMfcc, read_extractor
from asr.pretraining.kmeans import Quantizer
from asr.pretraining.stack import LayerStack

SPEECH = Path(__file__).parents[3] / "shared" / "speech"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory of buzzing tones: 12 utterances by 3 speakers, one file not a sound."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    tables: dict[str, list[str]] = {"wav.scp": [], "utt2spk": [], "spk2utt": [], "text": []}
    for speaker in range(3):
        names = [f"s{speaker}-u{number}" for number in range(4)]
        tables["spk2utt"].append(f"s{speaker} {' '.join(names)}")
        for name in names:
            time = np.arange(16_000) / 16_000
            pitch = 100 + 60 * speaker + 20 * np.sin(2 * np.pi * time * rng.uniform(1, 3))
            tone = sum(np.sin(np.cumsum(2 * np.pi * pitch * k / 16_000)) / k for k in range(1, 9))
            noise = rng.normal(size=len(time)) * (0.2 + 0.2 * np.sin(8 * time))
            soundfile.write(folder / f"{name}.wav", 0.1 * (tone + noise), 16_000)
            tables["wav.scp"].append(f"{name} {folder / f'{name}.wav'}")
            tables["utt2spk"].append(f"{name} s{speaker}")
            tables["text"].append(f"{name} 소리")
    (folder / "s2-u3.wav").write_bytes(b"no sound at all")
    for name, lines in tables.items():
        (folder / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, str]:
    code = main([str(argument) for argument in arguments])
    return code, capsys.readouterr().err


def test_layers(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "layers.safetensors"
    options = ("--layers", "2", "--dim", "16", "--context", "1", "--epochs", "2")
    code, told = run(capsys, "pretrain", "--kind", "rbm", *options, data, out)
    assert code == 0 and "layer 2/2, epoch 2/2: error" in told
    stack = LayerStack.load(out)
    assert [tuple(w.shape) for w, _ in stack.layers] == [(16, 120), (16, 16)]
    assert [path.name for path in tmp_path.iterdir()] == [out.name]
    code, _ = run(capsys, "pretrain", "--kind", "autoencoder", *options, "--seed", "3", data, out)
    assert code == 0 and not np.allclose(LayerStack.load(out).layers[0][0], stack.layers[0][0])


def test_masked_with_ivectors(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    extractor = tmp_path / "extractor"
    sizes = ("--gaussians", "8", "--dim", "5", "--feature-dim", "10")
    few = ("--ubm-iterations", "2", "--iterations", "2", "--min-count", "5")
    code, told = run(capsys, "train-ivector", *sizes, *few, data, extractor)
    assert code == 0 and "total variability 2/2:" in told
    assert "1 of 12 utterances were left out; the first is s2-u3" in caplog.text
    params, config, features = read_extractor(extractor)
    assert params.ivector_dim == 5 and features.num_ceps == 40
    sound = SpeechMfcc(features)(soundfile.read(data / "s0-u0.wav", dtype="float32")[0])
    assert IvectorExtractor(params, config).extract(sound).isfinite().all()
    out = tmp_path / "masked"
    network = {"kind": "tdnnf", "dim": 16, "bottleneck": 4, "prefinal": 8, "strides": [1, 3]}
    options = ("--network", json.dumps(network), "--clusters", "5", "--epochs", "1")
    code, _ = run(
        capsys, "pretrain", "--kind", "masked", *options, "--ivector", extractor, data, out
    )
    assert code == 0
    trained = load_network(out / "network")
    assert (trained.feature_dim, trained.ivector_dim, trained.num_pdfs) == (40, 5, 5)
    assert len(Quantizer.load(out / "targets.safetensors")) == 5
    metrics = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert any("dev/loss" in json.dumps(line) for line in metrics)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["extractor", "masked"]
    (extractor / "ivector.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelError, match="damaged"):
        read_extractor(extractor)


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("--kind", "rbm", "--clusters", "9"), 2, "--clusters is not for --kind rbm"),
        (("--kind", "masked", "--layers", "2"), 2, "--layers is not for --kind masked"),
        (("--kind", "masked", "--network", "{"), 2, "--network is not JSON"),
        (("--kind", "masked", "--network", "[]"), 2, "an object with a kind"),
        (("--kind", "masked", "--network", '{"kind": "tdnnf", "num_pdfs": 3}'), 2, "num_pdfs"),
        (("--kind", "rbm", "--max-hours", "0"), 2, "--max-hours must be above 0"),
        (("--kind", "rbm", "--device", "tpu"), 2, "no such device: tpu"),
        (("--kind", "rbm", "--layers", "0"), 2, "layers"),
        (("--kind", "masked", "--mask-share", "7"), 2, "start_share"),
        (("--kind", "masked", "--ivector", "nowhere"), 1, "nowhere: no such model"),
        (("--kind", "rbm", "--mfcc-config", "nowhere.conf"), 1, "nowhere.conf cannot be read"),
    ],
)
def test_what_makes_no_sense_is_told_before_the_data_are_read(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    code: int,
    told: str,
) -> None:
    got, error = run(capsys, "pretrain", *arguments, tmp_path / "no-data", tmp_path / "out")
    assert (got, told in error) == (code, True), error
    assert not list(tmp_path.iterdir())


def test_data_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, error = run(capsys, "train-ivector", tmp_path / "none", tmp_path / "out")
    assert code == 1 and "none" in error
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "letter.txt").write_text("dear")
    code, error = run(capsys, "train-ivector", tmp_path / "none", tmp_path / "kept")
    assert code in (1, 2) and (tmp_path / "kept" / "letter.txt").read_text() == "dear"


@pytest.mark.skipif(not (SPEECH / "splits.json").exists(), reason="needs ../shared/speech")
def test_parts_of_corpora(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from asr.cli.speech_data import spoken_sounds

    sounds = spoken_sounds([f"{SPEECH}:emotiontts:dev", f"{SPEECH}:pansori:dev"])
    assert len(sounds) == 137 and len({sound.speaker for sound in sounds}) == 5
    assert sounds[0].samples(16_000).dtype == np.float32
    once = f"{SPEECH}:emotiontts:dev"
    code, error = run(capsys, "train-ivector", once, once, tmp_path / "out")
    assert code == 1 and "given twice" in error
