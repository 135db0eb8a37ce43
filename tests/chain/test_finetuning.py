"""A model goes on learning from the shipped recordings, and is a model afterwards."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from asr.audio import load_audio
from asr.bundle import ACOUSTIC_FILE, open_bundle
from asr.chain.phone_lm import PhoneLmConfig
from asr.cli.main import main
from asr.data_files import shipped
from asr.decoder.config import DecoderConfig
from asr.errors import AsrError, DataError, ModelError, UsageError
from asr.finetuning import FinetuneConfig, finetune
from asr.graph_building import acoustic_terms
from asr.training.config import TrainConfig


@dataclass(frozen=True)
class Sample:
    id: str
    text: str | None
    path: Path
    speaker: str = "someone"

    def samples(self, sample_rate: int) -> np.ndarray:
        return load_audio(self.path, sample_rate).samples


NARROW = DecoderConfig(beam=6.0, max_active=300, lattice_beam=4.0)
"""For networks that have learnt next to nothing, whose hypotheses are all alike."""


def shipped_speech() -> list[Sample]:
    folder = shipped("samples")
    with open(folder / "transcripts.tsv", encoding="utf-8") as file:
        rows = list(csv.reader(file, delimiter="\t"))
    found = [Sample(row[0], row[1], folder / row[0]) for row in rows if row[0].endswith(".flac")]
    assert len(found) >= 5
    return found


def options(steps: int) -> FinetuneConfig:
    training = TrainConfig(
        steps=steps, learning_rate=1e-4, final_learning_rate=1e-4, max_frames=100_000,
        weight_decay=0.0, log_every=1, checkpoint_every=2,
    )  # fmt: skip
    return FinetuneConfig((1.0,), training, phone_lm=PhoneLmConfig(3, 0))


def test_the_objective_rises_and_the_result_is_a_model(korean_model: Path, tmp_path: Path) -> None:
    import asr

    speech = shipped_speech()
    silent = Sample("silent.flac", None, speech[0].path)
    missing = Sample("missing.flac", "없다", tmp_path / "missing.flac")
    report = finetune(
        open_bundle(korean_model), [*speech, silent, missing], tmp_path / "out", tmp_path / "work",
        dev=speech[:3], config=options(3), licence="test", attribution="nobody",
    )  # fmt: skip
    assert set(report.unused) == {"silent.flac", "missing.flac"}
    assert report.utterances == len(speech)
    lines = (tmp_path / "work" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    found = [row["train/mmi"] for row in map(json.loads, lines) if "train/mmi" in row]
    assert len(found) == 3
    assert found[-1] > found[0]  # all utterances are one batch: each step sees the same
    assert max(found) <= 0.0
    old, new = open_bundle(korean_model), open_bundle(tmp_path / "out")
    assert new.manifest.name.endswith("-tuned")
    assert "; trained on: test; language model: " in new.manifest.licence
    assert acoustic_terms(new.manifest)[0].endswith("; trained on: test")  # and stays there
    assert new.manifest.sections["training"][0]["utterances"] == len(speech)
    before, after = old.tensors(ACOUSTIC_FILE), new.tensors(ACOUSTIC_FILE)
    assert before.keys() == after.keys()
    changes = [np.abs(before[name] - after[name]).max() for name in before]
    assert max(changes) > 0
    model = asr.load(tmp_path / "out")
    assert model.transcribe(speech[0].path).text.strip()


def test_text_that_fits_no_sound_is_one_error(korean_model: Path, tmp_path: Path) -> None:
    sample = shipped_speech()[0]
    wrong = Sample("wrong", "아주 긴 글이라서 이 짧은 소리에는 들어갈 수가 없다 " * 20, sample.path)
    with pytest.raises(DataError, match="fits"):
        finetune(
            open_bundle(korean_model), [wrong], tmp_path / "out", tmp_path / "work",
            config=options(1),
        )  # fmt: skip
    assert not (tmp_path / "out").exists()


def test_the_same_command_goes_on_and_other_speech_is_refused(
    korean_model: Path, tmp_path: Path
) -> None:
    speech = shipped_speech()[:3]
    bundle = open_bundle(korean_model)
    for _ in range(2):  # the second finds the first one's checkpoints, and nothing left to do
        report = finetune(bundle, speech, tmp_path / "out", tmp_path / "work", config=options(2))
        assert report.summary.step == 2
    log = (tmp_path / "work" / "train.log").read_text(encoding="utf-8")
    assert "goes on from step 2" in log
    with pytest.raises(ModelError, match="other data"):
        finetune(bundle, speech[:2], tmp_path / "out", tmp_path / "work", config=options(2))


def test_a_guard_without_a_dev_set_is_refused(korean_model: Path, tmp_path: Path) -> None:
    speech = shipped_speech()
    with pytest.raises(UsageError, match="watch"):
        finetune(
            open_bundle(korean_model), speech[:1], tmp_path / "out", tmp_path / "work",
            guard=speech[1:2], config=options(1),
        )  # fmt: skip


def test_outputs_that_are_no_numbers_stop_the_training(korean_model: Path, tmp_path: Path) -> None:
    training = TrainConfig(
        steps=20, learning_rate=1e30, final_learning_rate=1e30, clip_norm=0.0, max_bad_steps=3
    )
    with pytest.raises(AsrError, match="not finite"):
        finetune(
            open_bundle(korean_model), shipped_speech()[:1], tmp_path / "out", tmp_path / "work",
            config=FinetuneConfig((1.0,), training),
        )  # fmt: skip


def test_state_accuracy_rises_by_the_command_line(
    korean_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`asr train --smbr`: on a model that LF-MMI has trained, and recorded in the new one."""
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    samples = shipped_speech()
    names = [f"u{number}" for number in range(len(samples))]
    for file, values in (
        ("wav.scp", [str(sample.path) for sample in samples]),
        ("text", [sample.text for sample in samples]),
        ("utt2spk", names),
        ("spk2utt", names),
    ):
        lines = [f"{name} {value}\n" for name, value in zip(names, values, strict=True)]
        (data / file).write_text("".join(sorted(lines)), encoding="utf-8")
    words = ["train", str(data), str(out), "--init", str(korean_model), "--smbr", "1", "--mmi",
             "0.1", "--speeds", "1", "--learning-rate", "1e-4", "--max-frames", "100000",
             "--option", "steps=3", "--option", "log_every=1"]  # fmt: skip
    assert main(words) == 0, capsys.readouterr().err
    lines = (tmp_path / "out.work" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    found = [row["train/accuracy"] for row in map(json.loads, lines) if "train/accuracy" in row]
    assert len(found) == 3 and 0.0 < found[0] < found[-1] < 1.0
    training = open_bundle(out).manifest.sections["training"][-1]
    assert training["objective"] == "LF-MMI + lattice-free sMBR"
    assert training["lfmmi"]["smbr"] == 1.0 and training["lfmmi"]["mmi"] == 0.1
    words[words.index("0.1")] = "0.2"  # another objective is another training
    assert main(words) == 1
    assert "train in another folder" in capsys.readouterr().err
