"""The pieces of a training: targets, batches, rates, journals; and learning from real speech."""

import json
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from asr.acoustic.mlp import Mlp, MlpConfig
from asr.data.batching import BatchConfig, BucketSampler
from asr.errors import AsrError, DataError, UsageError
from asr.training import (
    CrossEntropy,
    DevSet,
    Example,
    LoadedBatches,
    MemoryBatches,
    TrainConfig,
    collate,
    train,
)
from asr.training.curves import draw_curves
from asr.training.distributed import World
from asr.training.journal import Journal, read_metrics
from asr.training.optimizer import dropout_at, dropout_points, learning_rate
from asr.training.step import LossScale, Stepper


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


class Given(nn.Module):
    """A network that gives what it was given."""

    def forward(self, feats: Tensor, ivectors=None, lengths=None) -> tuple[Tensor, Tensor]:
        return feats, lengths


def example(name: str, frames: int, target: list[int]) -> Example:
    return Example(name, noise(frames, 4), None, torch.tensor(target))


def test_cross_entropy_is_that_of_each_utterance_alone() -> None:
    data = [example("a", 3, [0, -100, 3]), example("b", 5, [1, 1, 2, 0, -100])]
    for smoothing in (0.0, 0.2):
        value = CrossEntropy(label_smoothing=smoothing)(Given(), collate(data))
        expected = sum(
            F.cross_entropy(e.feats, e.target, reduction="sum", label_smoothing=smoothing)
            for e in data
        )
        torch.testing.assert_close(value.loss, expected)
        assert value.frames == 6
        right = sum(int((e.feats.argmax(1) == e.target).sum()) for e in data)
        assert value.stats == {"accuracy": right}


def test_targets_that_do_not_fit_are_refused_by_name() -> None:
    for bad, message in (
        (example("b", 5, [1, 1]), r"b has targets \(2,\) for 5 output frames"),
        (example("b", 2, [1, 4]), "b has a target outside the network's 4 pdfs"),
        (Example("b", noise(2, 4)), "b has targets NoneType"),
    ):
        with pytest.raises(DataError, match=message):
            CrossEntropy()(Given(), collate([example("a", 1, [0]), bad]))


def test_a_batch_is_padded_by_zeros_and_examples_of_other_kinds_are_refused() -> None:
    batch = collate([example("a", 3, [0]), example("b", 5, [1])])
    assert batch.lengths.tolist() == [3, 5] and not batch.feats[0, 3:].any()
    assert batch.to("cpu").targets[1].tolist() == [1] and len(batch) == 2
    with pytest.raises(DataError, match=r"c has features of shape \(3, 5\)"):
        collate([example("a", 3, [0]), Example("c", noise(3, 5))])
    with pytest.raises(DataError, match="c has no i-vector"):
        collate([Example("a", noise(3, 4), noise(2)), Example("c", noise(3, 4))])


def test_batches_in_memory_are_all_there_are_and_go_on_where_they_stopped() -> None:
    data = [example(f"u{n}", 3 + n % 7, [0]) for n in range(30)]
    batches = MemoryBatches(data, 25, seed=2)
    first = [batch.ids for batch in batches]
    second = [batch.ids for batch in batches]
    assert sorted(sum(first, ())) == sorted(sum(second, ())) == sorted(e.id for e in data)
    assert first != second and len(first) == len(batches)
    again = MemoryBatches(data, 25, seed=2)
    stream = iter(again)
    assert [next(stream).ids for _ in range(4)] == first[:4]
    resumed = MemoryBatches(data, 25)
    resumed.load_state_dict(json.loads(json.dumps(again.state_dict())))
    assert [batch.ids for batch in resumed] == first[4:]
    assert [batch.ids for batch in resumed] == second
    shares = []
    for rank in range(2):
        half = MemoryBatches(data, 25, seed=2)
        half.shard(rank, 2)
        shares.append([batch.ids if batch else () for batch in half])
    assert [set(a + b) for a, b in zip(*shares, strict=True)] == [set(ids) for ids in first]


@pytest.mark.parametrize("ahead", [0, 2])
def test_batches_read_ahead_go_on_where_the_training_is(ahead: int) -> None:
    data = [example(f"u{n}", 3 + n % 7, [0]) for n in range(30)]
    threads = set()

    def load(index: int, epoch: int) -> Example | None:
        threads.add(threading.current_thread().name)
        return None if index == 7 else data[index]

    def source() -> LoadedBatches:
        lengths = [e.frames for e in data]
        return LoadedBatches(BucketSampler(lengths, BatchConfig(max_frames=25)), load, ahead)

    batches = source()
    epochs = [[b.ids for b in batches] for _ in range(2)]
    for epoch in epochs:
        assert sorted(sum(epoch, ())) == sorted(e.id for e in data if e.id != "u7")
    stopped = source()
    stream = iter(stopped)
    assert [next(stream).ids for _ in range(3)] == epochs[0][:3]
    state = stopped.state_dict()
    stream.close()
    resumed = source()
    resumed.load_state_dict(json.loads(json.dumps(state)))
    assert len(resumed) == len(epochs[0])
    assert [b.ids for b in resumed] == epochs[0][3:]
    assert [b.ids for b in resumed] == epochs[1]
    assert ("MainThread" in threads) == (ahead == 0)


def test_an_error_while_reading_ahead_reaches_the_training() -> None:
    def load(index: int, epoch: int) -> Example:
        raise DataError("u0 has no sound")

    with pytest.raises(DataError, match="no sound"):
        list(LoadedBatches(BucketSampler([3, 4], BatchConfig(max_frames=9)), load))


def test_rates_follow_their_schedules() -> None:
    config = TrainConfig(learning_rate=1e-2, final_learning_rate=1e-4, warmup_steps=4)
    rates = [learning_rate(config, step, 101) for step in range(101)]
    assert rates[0] == pytest.approx(2e-3)  # a fifth, while it warms up
    assert rates[50] == pytest.approx(1e-3) and rates[100] == pytest.approx(1e-4)
    ratios = np.diff(np.log(rates[5:]))
    assert np.allclose(ratios, ratios[0])
    cosine = TrainConfig(learning_rate=1.0, final_learning_rate=0.2, schedule="cosine")
    assert learning_rate(cosine, 50, 101) == pytest.approx(0.6)
    assert learning_rate(cosine, 400, 101) == pytest.approx(0.2)


def test_dropout_follows_kaldis_schedules() -> None:
    points = dropout_points("0,0@0.20,0.5@0.50,0")
    assert [dropout_at(points, x) for x in (0.1, 0.35, 0.5, 0.75, 1.0)] == pytest.approx(
        [0, 0.25, 0.5, 0.25, 0]
    )
    assert dropout_at(dropout_points("0.1,0.4,0.2"), 0.25) == pytest.approx(0.25)
    assert dropout_at(dropout_points("0.3"), 0.6) == 0.3
    for bad in ("", "a", "0,0.2,0.3,0", "0,0.2@0.8,0.3@0.1,0", "0,1.5"):
        with pytest.raises(UsageError, match="dropout schedule"):
            dropout_points(bad)


def test_the_scale_of_half_precision_finds_its_place() -> None:
    scale = LossScale("fp16")
    begin = scale.scale
    assert scale.overflowed() and scale.scale == begin / 2
    for _ in range(1000):
        scale.went_well()
    assert scale.scale == begin
    while scale.scale > 1:
        assert scale.overflowed()
    assert not scale.overflowed()  # the gradient itself is to blame
    assert not LossScale("bf16").overflowed()


def test_a_journal_on_a_full_disk_says_so(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    (tmp_path / "train.log").symlink_to("/dev/full")
    with pytest.raises(AsrError, match="is full: free some space"):
        Journal(tmp_path, 0)


def test_a_journal_forgets_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    journal = Journal(tmp_path, 0)
    for step in range(1, 6):
        journal.metrics(step, {"train/loss": 1.0 / step, "bad": float("nan")}, epoch=0)
    journal.note("하나")
    journal.close()
    with open(tmp_path / "metrics.jsonl", "a") as file:
        file.write('{"step": 3, "tra')  # a process killed in the middle of a line
    journal = Journal(tmp_path, 3)
    journal.draw()
    journal.close()
    assert [r["step"] for r in read_metrics(tmp_path)] == [1, 2, 3]
    assert all(r["bad"] is None for r in read_metrics(tmp_path))
    log = (tmp_path / "train.log").read_text(encoding="utf-8")
    assert log.count("# malsori") == 2 and "하나" in log


def test_curves_are_a_picture(tmp_path: Path, monkeypatch) -> None:
    pytest.importorskip("matplotlib")
    records = [{"step": s, "epoch": 0, "train/loss": 2.0 / s, "dev/cer": 0.5} for s in (1, 2, 3)]
    assert draw_curves(records, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert not draw_curves([], tmp_path / "none.png")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert not draw_curves(records, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_events_for_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is optional (malsori[train])")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    journal = Journal(tmp_path, 0)
    journal.metrics(7, {"train/loss": 0.5})
    journal.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(7, 0.5)]


@pytest.fixture(scope="module")
def digits(korean_model) -> list[Example]:
    return digit_examples()


def digit_examples() -> list[Example]:
    """The shipped digits with the pdf of each frame, from the default model's own alignment.

    Targets are the phones, to have few and well filled classes; -1 (pause) is class 0.
    """
    from asr.aligning import load_aligner
    from asr.audio import load_audio
    from asr.data_files import shipped
    from asr.features import Mfcc, MfccConfig
    from asr.hangul.phones import PHONES

    aligner = load_aligner("ko-kaldi")
    samples = shipped("samples")
    mfcc = Mfcc(MfccConfig())
    made = []
    rows = (samples / "transcripts.tsv").read_text(encoding="utf-8").splitlines()
    for row in rows:
        name, text = row.split("\t")
        if not name.startswith("human"):
            continue
        sound = load_audio(samples / name, 16000).samples
        feats, _ = mfcc(torch.from_numpy(sound)[None])
        targets = torch.zeros(feats.shape[1], dtype=torch.int64)
        for jamo in aligner.align(samples / name, text).jamo:
            targets[round(100 * jamo.start) : round(100 * jamo.end)] = 1 + PHONES.index(jamo.phone)
        made.append(Example(name, feats[0], None, targets))
    return made


@pytest.mark.parametrize("kind, layers", [("relu", 2), ("sigmoid", 5)])
def test_a_perceptron_learns_the_phones_of_real_speech(
    digits: list[Example], tmp_path: Path, kind: str, layers: int
) -> None:
    """Trained on four recordings of digits, it tells the phones of the fifth."""
    training, last = digits[:-1], digits[-1]
    frames = torch.cat([e.feats for e in training])
    width = frames.shape[1]
    network = Mlp(MlpConfig(width, 47, layers=layers, dim=96, nonlinearity=kind))
    network.normalise_input(frames.mean(0), frames.std(0))
    config = TrainConfig(epochs=30, learning_rate=3e-3, watch="dev/loss")
    dev = {"dev": DevSet(MemoryBatches([last], 10_000), CrossEntropy())}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    summary = train(network, CrossEntropy(), MemoryBatches(training, 1), dev, config, tmp_path)
    torch.set_num_threads(threads)
    chance = float(torch.bincount(last.target).max() / len(last.target))
    assert summary.metrics["dev/accuracy"] > chance + 0.35


class Companion(World):
    """Another process, which has no share of any batch."""

    def __init__(self) -> None:
        super().__init__(0, 2, torch.device("cpu"))
        self.exchanges = 0

    def add_up(self, tensor: Tensor) -> None:
        self.exchanges += 1

    def add_up_all(self, tensors) -> None:
        self.exchanges += 1


@pytest.mark.parametrize("waiting", [True, False])
def test_nobody_waits_for_a_process_without_a_share(waiting: bool) -> None:
    network = Mlp(MlpConfig(3, 4, layers=1, dim=5, context=0, batch_norm=True)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    world = Companion()
    parameters = list(network.parameters())
    optimizer = torch.optim.SGD([{"params": parameters, "factor": 1.0}], lr=0.1)
    config = TrainConfig(sync_batch_norm=waiting)
    stepper = Stepper(network, CrossEntropy(), parameters, optimizer, config, world)
    example = Example("one", noise(6, 3), None, torch.tensor([0, 1, 2, 3, 0, 1]))
    result = stepper.step([collate([example])], 0)
    changed = any((value != before[name]).any() for name, value in network.state_dict().items())
    assert changed is not waiting  # left out by all, where batch norm would wait for the other
    assert result.frames == (0 if waiting else 6)
