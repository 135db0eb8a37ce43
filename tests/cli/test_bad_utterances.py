"""Utterances that cannot be trained on are counted, named and left out by every training."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from asr.cli.main import main
from asr.data_files import shipped

NETWORK = {"kind": "tdnnf", "dim": 32, "bottleneck": 8, "strides": [1, 0, 3], "prefinal": 16}
NO_SOUND = {
    "x-cut": "is cut short or damaged",
    "x-empty": "holds no samples",
    "x-missing": "no such file",
    "x-nan": "not a number",
    "x-noise": "is not a sound file",
}
NO_TEXT = {"x-none": "it has no text"}
UNKNOWN = {name: "nothing that can be read aloud" for name in ("x-jamo", "x-oov", "x-symbols")}
TOO_LONG = {"x-long": "the text takes"}
BAD = NO_SOUND | NO_TEXT | UNKNOWN | TOO_LONG


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five recordings of digits, and one of each kind that cannot be used."""
    desk = tmp_path_factory.mktemp("desk")
    data, samples = desk / "data", Path(str(shipped("samples")))
    data.mkdir()
    rows = {}
    for line in (samples / "transcripts.tsv").read_text(encoding="utf-8").splitlines():
        name, text = line.split("\t")
        if name.startswith("human"):
            rows[Path(name).stem] = (samples / name, text)
    sound, text = next(iter(rows.values()))
    soundfile.write(data / "empty.wav", np.zeros(0, np.float32), 16_000)
    soundfile.write(data / "nan.wav", np.full(16_000, np.nan, np.float32), 16_000, subtype="FLOAT")
    (data / "noise.wav").write_bytes(b"no sound at all" * 100)
    (data / "cut.flac").write_bytes(sound.read_bytes()[:3000])
    for name, file in (("cut", "cut.flac"), *((n, f"{n}.wav") for n in
                       ("empty", "missing", "nan", "noise"))):  # fmt: skip
        rows[f"x-{name}"] = (data / file, text)
    rows |= {
        "x-none": (sound, ""),
        "x-jamo": (sound, "ㅋㅋㅋ"),
        "x-oov": (sound, "漢字 ♥ ฉัน"),
        "x-symbols": (sound, "…!?"),
        "x-long": (sound, "여섯 일곱 여덟 아홉 " * 60),
    }
    for file, values in (
        ("wav.scp", {name: row[0] for name, row in rows.items()}),
        ("text", {name: row[1] for name, row in rows.items()}),
        ("utt2spk", dict.fromkeys(rows, "kim")),
        ("spk2utt", {"kim": " ".join(sorted(rows))}),
    ):
        lines = sorted(f"{name} {value}\n" for name, value in values.items())
        (data / file).write_text("".join(lines), encoding="utf-8")
    (desk / "network.json").write_text(json.dumps(NETWORK))
    (desk / "texts").write_text("하나 둘 셋 넷 다섯\n여섯 일곱 여덟 아홉 공\n", encoding="utf-8")
    assert main(["train-lm", "--text", str(desk / "texts"), "--output", str(desk / "lm"),
                 "--order", "2", "--min-unit-count", "1"]) == 0  # fmt: skip
    assert main(f"gmm mono {desk}/data --output {desk}/mono --iterations 4 --gaussians 160"
                " --retry-beam 1000".split()) == 0  # fmt: skip
    return desk


def test_a_gmm_system_reports_each_with_its_reason(desk: Path) -> None:
    report = json.loads((desk / "mono" / "report.json").read_text(encoding="utf-8"))
    assert report["failures"].keys() == BAD.keys() and report["aligned"] == 5
    for name, why in BAD.items():
        assert why in report["failures"][name]


def test_a_perceptron_leaves_them_out(desk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"train-dnn {desk}/data {desk}/dnn --system {desk}/mono --layers 1 --dim 16 --epochs 1"
    assert main(words.split()) == 0
    told = capsys.readouterr().out
    assert "trained on 5 utterances," in told and f"; {len(BAD)} left out" in told
    assert all(f"left out: {name}: " in told for name in BAD)


def test_a_chain_model_leaves_them_out(
    desk: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    words = (
        f"train {desk}/data {desk}/chain --system {desk}/mono --lm {desk}/lm --leaves 60"
        f" --network {desk}/network.json --speeds 1 --epochs 1"
    )
    assert main(words.split()) == 0
    assert f"trained on 5 utterances, 0.01 h; {len(BAD)} left out" in capsys.readouterr().out
    assert "x-empty is left out" in caplog.text and "holds no samples" in caplog.text
    assert f"{len(BAD)} utterances are left out in all" in caplog.text


def test_speech_without_texts_leaves_out_what_is_no_sound(
    desk: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    words = f"pretrain --kind rbm --layers 1 --dim 16 --epochs 1 {desk}/data {desk}/layers"
    assert main(words.split()) == 0
    words = f"train-ivector {desk}/data {desk}/ivectors --gaussians 4 --dim 3 --iterations 1"
    assert main(words.split()) == 0
    assert caplog.text.count(f"{len(NO_SOUND)} ") >= 2
