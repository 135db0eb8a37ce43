"""A chain model from nothing but the shipped recordings: GMM, tree, network, model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mono_system import mono_system, small_lm
from test_finetuning import NARROW, Sample, shipped_speech

from asr.bundle import open_bundle
from asr.chain_training import ChainConfig, context_tree, train_chain
from asr.errors import DataError, UsageError
from asr.finetuning import Parts
from asr.hmm.pdf_table import monophones
from asr.hmm.topology import CHAIN, CLASSICAL, NUM_PHONES
from asr.training.config import TrainConfig

NETWORK = {"kind": "tdnnf", "dim": 48, "bottleneck": 16, "strides": [1, 0, 3], "prefinal": 24}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return mono_system(tmp_path_factory.mktemp("gmm") / "mono")


def test_a_model_from_nothing(system: Path, tmp_path: Path) -> None:
    import asr

    training = TrainConfig(steps=12, learning_rate=3e-3, final_learning_rate=1e-3, max_frames=4000,
                           log_every=1)  # fmt: skip
    report = train_chain(
        system, shipped_speech(), tmp_path / "out", tmp_path / "work", dev=shipped_speech()[:2],
        config=ChainConfig(leaves=60, network=NETWORK, speeds=(1.0,), training=training),
    )  # fmt: skip
    assert report.utterances == len(shipped_speech())
    lines = (tmp_path / "work" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    losses = [row["train/mmi"] for row in map(json.loads, lines) if "train/mmi" in row]
    assert losses[-1] > losses[0]
    assert max(losses) <= 0.0  # what was said is a part of what might have been
    manifest = open_bundle(tmp_path / "out").manifest
    assert manifest.sections["training"][0]["network"]["kind"] == "tdnnf"
    result = asr.load(tmp_path / "out").transcribe(shipped_speech()[0].path, decoder=NARROW)
    assert isinstance(result.text, str)


def test_a_system_of_other_speech_is_refused(system: Path, tmp_path: Path) -> None:
    sample = shipped_speech()[0]
    other = Sample("other", sample.text, sample.path)
    with pytest.raises(DataError, match="aligned none"):
        train_chain(system, [other], tmp_path / "out", tmp_path / "work", lm=small_lm(tmp_path))


def test_the_tree_of_a_bundle_has_left_context_and_silence_first() -> None:
    tree = context_tree(monophones(CHAIN))
    assert tree.pdf.shape == (NUM_PHONES + 1, NUM_PHONES + 1, 2)
    assert np.array_equal(tree.pdf[0], tree.pdf[1])
    with pytest.raises(UsageError, match="one state"):
        context_tree(monophones(CLASSICAL))


def test_sentences_of_other_texts_are_read_without_a_warning_each(
    korean_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts = Parts(open_bundle(korean_model), "cpu")
    assert len(parts.pronounced(["재미있어요 ㅋㅋㅋ", "夏", "네"], seed=0)) == 2
    assert not caplog.text
