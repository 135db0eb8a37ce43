"""A teacher's posteriors as targets: gradients, frames, and a student that learns from them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_finetuning import NARROW, shipped_speech

from asr.bundle import ACOUSTIC_FILE, open_bundle, write_bundle
from asr.chain.denominator import denominator
from asr.chain.objective import LfMmiConfig, LfMmiLoss
from asr.chain.phone_lm import PhoneLmConfig, estimate_phone_lm
from asr.chain.prepared import PreparedGraph, summed
from asr.chain.soft_targets import STEPS, MixedTarget, SoftTarget
from asr.chain_training import context_tree
from asr.cli.main import main
from asr.data.conditions import ConditionsConfig
from asr.distillation import DistillConfig, Teacher, distill
from asr.errors import UsageError
from asr.graph.emissions import EmissionModel
from asr.hmm.pdf_table import monophones
from asr.hmm.topology import CHAIN, SURFACE_PHONES
from asr.supervised_speech import STATES_FOLDER
from asr.training.config import TrainConfig
from asr.training.source import MemoryBatches

TEXTS = [["g", "a", "n", "a"], ["n", "a"], ["g", "u", "g"]]


@pytest.fixture(scope="module")
def graph() -> PreparedGraph:
    emissions = EmissionModel.from_tree(context_tree(monophones(CHAIN)), SURFACE_PHONES)
    return PreparedGraph(denominator(estimate_phone_lm(TEXTS, PhoneLmConfig(3, 0)), emissions))


def random_scores(graph: PreparedGraph, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.normal(size=(9, graph.graph.num_pdfs)).astype(np.float32)


def test_what_is_kept_of_posteriors() -> None:
    posteriors = np.random.default_rng(0).dirichlet(np.full(40, 0.05), 30)
    whole = SoftTarget.of(posteriors, 100)
    assert whole.frames == 30 and whole.table.shape == (30, 80)
    back = np.zeros_like(posteriors)
    scores = np.random.default_rng(1).normal(size=posteriors.shape)
    value = whole.add(scores, back, 1.0)
    np.testing.assert_allclose(back, posteriors, atol=2e-5)
    assert value == pytest.approx((posteriors * scores).sum(), abs=2e-3)
    few = np.zeros_like(posteriors)
    SoftTarget.of(posteriors, 3).add(scores, few, 0.5)
    np.testing.assert_allclose(few.sum(1), 0.5, atol=1e-4)
    assert ((few > 0).sum(1) <= 3).all()
    assert (few.argmax(1) == posteriors.argmax(1)).all()


def test_frames_that_differ_at_the_end() -> None:
    target = SoftTarget.of(np.eye(5), 2)
    for frames in (3, 5, 8):
        found = np.zeros((frames, 5))
        target.add(np.zeros((frames, 5)), found, 1.0)
        wanted = np.eye(5)[np.minimum(np.arange(frames), 4)]
        np.testing.assert_allclose(found, wanted)


def test_the_gradient_is_that_of_the_relative_entropy(graph: PreparedGraph) -> None:
    """Between the distributions over paths of teacher and student: by finite differences."""
    teacher, student = random_scores(graph, 1), random_scores(graph, 2)
    heard = summed(graph.graph, teacher).posteriors
    loss = LfMmiLoss(graph.graph, LfMmiConfig(leaky=0.0, xent=0.1, l2=0.0))
    outputs, lengths = torch.from_numpy(student)[None], torch.tensor([len(student)])
    target = SoftTarget.of(heard, 10_000)
    result = loss(outputs, lengths, [target])

    def entropy(scores: np.ndarray) -> float:  # less what does not depend on the student
        return summed(graph.graph, scores).logprob - float((heard * scores).sum())

    for frame, pdf in ((0, int(heard[0].argmax())), (4, int(heard[4].argmax())), (8, 3)):
        step = np.zeros_like(student, np.float64)
        step[frame, pdf] = 1e-3
        slope = (entropy(student + step) - entropy(student - step)) / 2e-3
        assert -result.gradient[0, frame, pdf].item() == pytest.approx(slope, abs=2e-3)
    batched = LfMmiLoss(graph.graph, LfMmiConfig(leaky=0.0, batched="always"))
    on_device = batched(outputs, lengths, [target])
    torch.testing.assert_close(on_device.gradient, result.gradient, atol=1e-4, rtol=1e-3)
    # a student that hears as its teacher has nothing to learn
    same = loss(torch.from_numpy(teacher)[None], lengths, [target])
    assert same.gradient.abs().max() < 1e-3


def test_text_and_teacher_are_weighed(graph: PreparedGraph) -> None:
    scores = random_scores(graph, 3)
    said = PreparedGraph(graph.graph)
    heard = SoftTarget.of(summed(graph.graph, random_scores(graph, 4)).posteriors, 10_000)
    parts = []
    for target in (said, heard, MixedTarget(said, heard, 0.25)):
        posteriors = np.zeros_like(scores)
        parts.append((target.add(scores, posteriors, 1.0), posteriors))
    assert parts[2][0] == pytest.approx(0.75 * parts[0][0] + 0.25 * parts[1][0], rel=1e-5)
    np.testing.assert_allclose(parts[2][1], 0.75 * parts[0][1] + 0.25 * parts[1][1], atol=1e-5)
    short = scores[:1]  # no text is said in one frame: the teacher alone counts
    found = np.zeros_like(short)
    MixedTarget(PreparedGraph(_longer(graph)), heard, 0.25).add(short, found, 1.0)
    np.testing.assert_allclose(found.sum(), 1.0, atol=1e-3)


def _longer(graph: PreparedGraph) -> object:
    """A graph that no single frame goes through."""
    final = np.full(graph.graph.states, np.inf, np.float32)
    final[-1] = 0.0
    return graph.graph._replace(final_cost=final)


def options(**changes: object) -> DistillConfig:
    training = TrainConfig(steps=6, learning_rate=3e-3, final_learning_rate=1e-3,
                           max_frames=100_000, log_every=1)  # fmt: skip
    network: Mapping[str, object] = {
        "kind": "tdnnf", "dim": 32, "bottleneck": 16, "strides": [1, 0, 3], "prefinal": 24,
    }  # fmt: skip
    config = DistillConfig((1.0,), training, phone_lm=PhoneLmConfig(3, 0), network=network)
    return replace(config, **changes)  # type: ignore[arg-type]


def test_a_student_learns_and_is_a_model(
    korean_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asr

    speech = shipped_speech()
    unknown = [replace(one, id=f"more-{one.id}", text=None) for one in speech[5:7]]
    config = options(speeds=(1.0, 0.9), augment=ConditionsConfig(copies=1))
    bundle = open_bundle(korean_model)
    sections = bundle.manifest.sections
    listens = {**sections, "rescoring": {**sections["rescoring"], "attention_scale": 1.0}}
    bundle = replace(bundle, manifest=replace(bundle.manifest, sections=listens))
    arguments = (bundle, speech[:5], tmp_path / "out", tmp_path / "work")
    heard = []
    listen = Teacher.scores
    monkeypatch.setattr(
        Teacher, "scores", lambda self, samples: heard.append(1) or listen(self, samples)
    )

    from asr import lfmmi_training

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(lfmmi_training, "train", killed)
        distill(*arguments, untranscribed=unknown, dev=speech[:2], config=config)
    assert len(heard) == 5 + 3 * 5 + 3 * 2 - _same_sounds(config, [*speech[:5], *unknown])
    before = len(heard)
    report = distill(*arguments, untranscribed=unknown, dev=speech[:2], config=config)
    assert len(heard) == before + 5  # the alignment alone; the rest had been kept
    assert report.utterances == 5 and "dev/mmi" in report.summary.metrics
    lines = (tmp_path / "work" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if "train/mmi" in row]
    assert rows[-1]["train/mmi"] > rows[0]["train/mmi"]
    assert not list((tmp_path / "work" / STATES_FOLDER).glob("*/*"))
    model = open_bundle(tmp_path / "out").manifest
    assert model.name.endswith("-student")
    history = model.sections["training"][0]
    assert (history["teacher"], history["untranscribed"]) == (bundle.manifest.name, 2)
    assert model.sections["tree"] == bundle.manifest.sections["tree"]
    assert model.sections["rescoring"] == {**listens["rescoring"], "attention_scale": 0.0}
    result = asr.load(tmp_path / "out").transcribe(speech[0].path, decoder=NARROW)
    assert isinstance(result.text, str)


def test_a_student_begins_with_another_models_layers(
    korean_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both models may be gone when it is written: a cache makes room for newer ones."""
    import asr
    from asr import lfmmi_training

    learn, cached = lfmmi_training.train, tmp_path / "cached"
    shutil.copytree(korean_model, cached)

    def meanwhile(*arguments: object) -> object:
        shutil.rmtree(cached)
        return learn(*arguments)

    monkeypatch.setattr(lfmmi_training, "train", meanwhile)
    speech = shipped_speech()
    bundle = open_bundle(korean_model)
    config = replace(options(), network=None)
    with pytest.raises(UsageError, match="give no others"):
        distill(bundle, speech[:1], tmp_path / "no", tmp_path / "no.work", pretrained=bundle,
                config=options())  # fmt: skip
    begun = replace(bundle, manifest=replace(
        bundle.manifest, licence="of the layers", attribution="their makers"
    ))  # fmt: skip
    report = distill(open_bundle(cached), speech[:4], tmp_path / "out", tmp_path / "work",
                     pretrained=replace(begun, path=cached), config=config)  # fmt: skip
    lines = (tmp_path / "work" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if "train/mmi" in row]
    assert report.utterances == 4 and rows[-1]["train/mmi"] > rows[0]["train/mmi"]
    model = open_bundle(tmp_path / "out")
    assert model.manifest.sections["training"][0]["from"] == bundle.manifest.name
    for terms, theirs in ((model.manifest.licence, "of the layers"),
                          (model.manifest.attribution, "their makers")):  # fmt: skip
        assert terms.count(theirs) == 1  # beside those of the teacher
    assert bundle.manifest.attribution.split("; ")[0] in model.manifest.attribution
    assert model.manifest.sections["ivector"] == bundle.manifest.sections["ivector"]
    theirs, own = bundle.tensors(ACOUSTIC_FILE), model.tensors(ACOUSTIC_FILE)
    assert own.keys() == theirs.keys()
    far = [name for name in own if np.abs(own[name] - theirs[name]).max() > 0.05]
    assert {name.split("/")[0] for name in far} == {"output.affine"}  # six steps change little
    result = asr.load(tmp_path / "out").transcribe(speech[0].path, decoder=NARROW)
    assert isinstance(result.text, str)


def _same_sounds(config: DistillConfig, speech: list) -> int:
    """Copies whose sound was played at a speed that the teacher had heard already: all of them."""
    return config.augment.copies * len(speech)


def test_what_was_heard_is_that_of_this_teacher_with_these_options(
    korean_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed run is begun again: the teacher hears anew what another would have heard."""
    from asr import lfmmi_training

    path, speech, heard = tmp_path / "teacher", shipped_speech()[:2], []
    shutil.copytree(korean_model, path)
    listen = Teacher.scores
    monkeypatch.setattr(
        Teacher, "scores", lambda self, samples: heard.append(1) or listen(self, samples)
    )

    def killed(network: object, objective: object, batches: MemoryBatches, *_: object) -> None:
        tables.append([one.target.heard.table.numpy().copy() for one in batches._examples])
        raise KeyboardInterrupt

    tables: list[list[np.ndarray]] = []
    monkeypatch.setattr(lfmmi_training, "train", killed)

    def listened(config: DistillConfig) -> int:
        """How many sounds the teacher hears beside those that it aligns."""
        before = len(heard)
        with pytest.raises(KeyboardInterrupt):
            distill(open_bundle(path), speech, tmp_path / "out", tmp_path / "work", config=config)
        return len(heard) - before - len(speech)

    config = options()
    assert listened(config) == 2 and listened(config) == 0
    assert listened(replace(config, lfmmi=LfMmiConfig(leaky=0.1))) == 2
    bundle = open_bundle(path)
    arrays = {name: {key: np.array(array) for key, array in bundle.tensors(name).items()}
              for name in bundle.files}  # fmt: skip
    arrays[ACOUSTIC_FILE] = {name: 0.9 * array for name, array in arrays[ACOUSTIC_FILE].items()}
    write_bundle(path, bundle.manifest, arrays)
    assert listened(config) == 2
    assert listened(replace(config, keep=10**6)) == 2  # all of them, however many there are
    for table in tables[-1]:
        pdfs, parts = np.split(table, 2, axis=1)
        assert np.array_equal(np.sort(pdfs), np.broadcast_to(np.arange(pdfs.shape[1]), pdfs.shape))
        assert np.abs(parts.sum(1, dtype=np.int64) - STEPS).max() < 0.01 * STEPS


def test_a_student_with_frames_of_another_length(
    korean_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It learns what the teacher, whose frames last 30 ms, hears every 20 ms."""
    from asr import lfmmi_training, load

    lengths = []
    learn = lfmmi_training.train

    def watched(network: object, objective: object, batches: MemoryBatches, *others: object):
        for one in batches._examples:
            lengths.append((one.target.heard.frames, -(-one.frames // 2)))
        return learn(network, objective, batches, *others)

    monkeypatch.setattr(lfmmi_training, "train", watched)
    config = options()
    config = replace(config, network={**config.network, "subsampling": 2})
    distill(open_bundle(korean_model), shipped_speech()[:2], tmp_path / "out", tmp_path / "work",
            config=config)  # fmt: skip
    assert len(lengths) == 2 * len(config.speeds)
    assert all(abs(heard - own) <= 3 for heard, own in lengths)
    assert load(tmp_path / "out").scorer.frame_seconds == pytest.approx(0.02)


def test_a_weight_is_a_share() -> None:
    with pytest.raises(UsageError, match="within 0 and 1"):
        DistillConfig(weight=2.0)


def test_options_of_a_student(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["train", str(tmp_path / "data"), str(tmp_path / "out")]
    for options_given, message in (
        (["--teacher", "ko", "--encoder", "whisper-base"], "--encoder does not go with --teacher"),
        (["--teacher", "ko", "--pretrained", "ko-kaldi", "--ivectors", "x"], "leave it out"),
        (["--init", "ko", "--untranscribed", "x"], "--untranscribed is for --teacher"),
        (["--init", "ko", "--teacher-weight", "0.3"], "--teacher-weight is for --teacher"),
    ):
        assert main([*words, *options_given]) == 2
        assert message in capsys.readouterr().err
