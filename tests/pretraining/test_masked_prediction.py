"""Masked prediction: its targets against sklearn's k-means, its masks, its loss and its use."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from torch import Tensor, nn

from asr.acoustic.tdnnf import Tdnnf, TdnnfConfig
from asr.errors import DataError, ModelError, UsageError
from asr.pretraining.frames import FramePool, gather_frames
from asr.pretraining.kmeans import KmeansConfig, Quantizer, train_quantizer
from asr.pretraining.masked import MaskedPrediction, take_over
from asr.pretraining.masked_training import MaskedConfig, pretrain_masked
from asr.pretraining.masking import MaskConfig, span_mask
from asr.training.batch import Batch, Example, collate
from asr.training.config import TrainConfig

DIM, CLUSTERS = 5, 6
PLAIN = torch.zeros(DIM), torch.ones(DIM)


def sounds(name: str) -> Tensor:
    """Stretches of one sound after another, in an order with few choices: what is hidden can be
    guessed from its neighbours."""
    generator = torch.Generator().manual_seed(int(name))
    centres = 4.0 * torch.randn(CLUSTERS, DIM, generator=torch.Generator().manual_seed(99))
    order = (int(torch.randint(CLUSTERS, (), generator=generator)) + torch.arange(12)) % CLUSTERS
    lasting = torch.randint(4, 7, (12,), generator=generator)
    clean = centres[order].repeat_interleave(lasting, dim=0)
    return clean + 0.5 * torch.randn(clean.shape, generator=generator)


def pool(utterances: int = 40) -> FramePool:
    return gather_frames([str(number) for number in range(utterances)], sounds, context=0)


QUANTIZER = KmeansConfig(clusters=CLUSTERS, cepstra=0, deltas=0)


def test_clusters_are_as_tight_as_sklearns() -> None:
    frames = pool()
    told: list[str] = []
    quantizer = train_quantizer(frames, QUANTIZER, lambda f, m: told.append(m))
    points = []
    for number in range(40):
        feats = sounds(str(number))
        points.append((feats - feats.mean(0) - quantizer.mean) / quantizer.deviation)
    spread = torch.cat(points).numpy()
    oracle = KMeans(CLUSTERS, n_init=10, random_state=0).fit(spread)
    ours = (spread[:, None] - quantizer.centres.numpy()) ** 2
    tightness = ours.sum(2).min(1).sum()
    assert tightness < 1.01 * oracle.inertia_
    labels = torch.cat([quantizer(sounds(str(number))) for number in range(40)])
    assert np.array_equal(labels.numpy(), ours.sum(2).argmin(1))
    values = [float(message.rsplit(" ", 1)[1]) for message in told]
    assert values == sorted(values, reverse=True) and len(values) < 30  # stopped when at rest


def test_targets_do_not_depend_on_a_speakers_constant() -> None:
    quantizer = train_quantizer(pool(), KmeansConfig(clusters=8, cepstra=3, deltas=2))
    feats = sounds("7")
    assert quantizer.centres.shape == (8, 9)
    assert torch.equal(quantizer(feats), quantizer(feats + 20.0))
    other = feats.clone()
    other[:, 3:] = 0.0  # beyond the cepstra that count
    assert torch.equal(quantizer(feats), quantizer(other))
    assert len(quantizer(feats[:0])) == 0


def test_a_quantizer_survives_the_disk(tmp_path: Path) -> None:
    quantizer = train_quantizer(pool(), QUANTIZER)
    quantizer.save(tmp_path / "targets.safetensors")
    loaded = Quantizer.load(tmp_path / "targets.safetensors")
    assert torch.equal(loaded(sounds("3")), quantizer(sounds("3"))) and len(loaded) == CLUSTERS
    with pytest.raises(UsageError, match=r"\[frames, 5\]"):
        loaded(torch.zeros(4, 6))
    (tmp_path / "targets.safetensors").write_bytes(b"\0" * 20)
    with pytest.raises(DataError, match="no cluster centres"):
        Quantizer.load(tmp_path / "targets.safetensors")


def test_too_few_different_frames_are_told_of() -> None:
    frames = gather_frames(["a"], lambda name: torch.eye(3).repeat(50, 1), context=0)
    with pytest.raises(DataError, match="only 3 different frames"):
        train_quantizer(frames, QUANTIZER)


@pytest.mark.parametrize("length", [0, 1, 5, 20, 21, 400])
def test_masks_are_whole_spans_inside_the_utterance(length: int) -> None:
    generator = torch.Generator().manual_seed(length)
    config = MaskConfig(start_share=0.02, span=20)
    shares = []
    for _ in range(200):
        mask = span_mask(length, config, generator)
        assert mask.shape == (length,)
        shares.append(float(mask.float().mean()) if length else 0.0)
        edges = torch.nn.functional.pad(mask.int(), (1, 1)).diff()
        begins, ends = (edges == 1).nonzero()[:, 0], (edges == -1).nonzero()[:, 0]
        if length > 20:
            assert len(begins) and bool((ends - begins >= 20).all())
        else:
            assert int(mask.sum()) == length - length // 2
    if length == 400:  # 8 starts among 381 places: a frame is missed by all with this probability
        assert np.mean(shares) == pytest.approx(1 - (1 - 20 / 381) ** 8, abs=0.02)


def batch(names: list[str], quantizer: Quantizer) -> Batch:
    examples = [Example(name, sounds(name), None, quantizer(sounds(name))) for name in names]
    return collate(examples)


class Fixed(nn.Module):
    """A network that says the same of every third frame, and remembers what it was shown."""

    subsampling = 3

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = scores
        self.seen = torch.empty(0)

    def forward(
        self, feats: Tensor, ivectors: Tensor | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        assert lengths is not None
        self.seen = feats
        frames = -(-feats.shape[1] // 3)
        return self.scores.expand(len(feats), frames, -1), -(-lengths // 3)


def test_loss_is_the_cross_entropy_of_what_was_hidden() -> None:
    quantizer = train_quantizer(pool(), QUANTIZER)
    scores = torch.randn(CLUSTERS, generator=torch.Generator().manual_seed(1))
    network = Fixed(scores)
    objective = MaskedPrediction(*PLAIN, CLUSTERS)
    network.eval()
    with torch.no_grad():
        objective.hidden.fill_(123.0)
    some = batch(["1", "2", "3"], quantizer)
    value = objective(network, some)
    log_probabilities = scores.log_softmax(0)
    expected, frames, right = 0.0, 0, 0
    for feats, target, length in zip(
        network.seen, some.targets, some.lengths.tolist(), strict=True
    ):
        for t in range(0, length, 3):
            if feats[t, 0] == 123.0:
                expected -= float(log_probabilities[target[t]])
                frames += 1
                right += int(scores.argmax() == target[t])
    assert frames > 10 and value.frames == frames
    assert float(value.loss.detach()) == pytest.approx(expected, rel=1e-5)
    assert value.stats["accuracy"] == right
    hidden = (network.seen == 123.0).all(dim=2)
    assert torch.equal(network.seen[~hidden], some.feats[~hidden])
    alone = objective(Fixed(scores).eval(), batch(["2"], quantizer))
    assert 0 < alone.frames < value.frames
    rest = [objective(Fixed(scores).eval(), batch([name], quantizer)).frames for name in ("1", "3")]
    assert alone.frames + sum(rest) == value.frames  # masks do not depend on the batch


def test_training_masks_follow_the_seed_and_change() -> None:
    quantizer = train_quantizer(pool(), QUANTIZER)
    network, objective = Fixed(torch.zeros(CLUSTERS)), MaskedPrediction(*PLAIN, CLUSTERS)
    some = batch(["1", "2"], quantizer)
    network.train()
    seen = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        objective(network, some)
        seen.append(network.seen)
    assert torch.equal(seen[0], seen[1]) and not torch.equal(seen[0], seen[2])


def test_a_tdnnf_learns_to_guess_what_it_cannot_see_and_hands_it_on() -> None:
    quantizer = train_quantizer(pool(), QUANTIZER)
    config = TdnnfConfig(
        DIM, CLUSTERS, dim=24, bottleneck=8, prefinal=12, strides=(1, 3, 3), xent=False
    )
    network = Tdnnf(config)
    objective = MaskedPrediction(*PLAIN, CLUSTERS, MaskConfig(start_share=0.03, span=6))
    train = [batch([str(n) for n in range(k, k + 10)], quantizer) for k in range(0, 40, 10)]
    held_out = batch([str(n) for n in range(100, 110)], quantizer)
    optimizer = torch.optim.Adam([*network.parameters(), *objective.parameters()], lr=0.01)
    torch.manual_seed(0)
    for _ in range(25):
        for some in train:
            value = objective(network, some)
            optimizer.zero_grad()
            (value.loss / value.frames).backward()
            optimizer.step()
    assert bool(objective.hidden.abs().max() > 0)
    network.eval()
    with torch.no_grad():
        value = objective(network, held_out)
    loss, accuracy = float(value.loss) / value.frames, value.stats["accuracy"] / value.frames
    assert loss < 0.6 * math.log(CLUSTERS) and accuracy > 0.6, (loss, accuracy)
    other = Tdnnf(
        TdnnfConfig(DIM, 31, dim=24, bottleneck=8, prefinal=12, strides=(1, 3, 3), seed=5)
    )
    taken = take_over(network, other)
    names = other.parameter_names()
    left = {names[key] for key in taken.left if key in names}
    assert "output.affine.weight" in left and not any(n.startswith("tdnnf") for n in left)
    state, mine = network.state_dict(), other.state_dict()
    of = {name: key for key, name in network.parameter_names().items()}
    key = next(k for k, n in names.items() if n == "tdnnf3.linear.weight")
    assert torch.equal(mine[key], state[of["tdnnf3.linear.weight"]])


def test_what_does_not_fit_is_refused() -> None:
    quantizer = train_quantizer(pool(), QUANTIZER)
    some = batch(["1"], quantizer)
    with pytest.raises(ModelError, match="6 outputs for 7 clusters"):
        MaskedPrediction(*PLAIN, 7)(Fixed(torch.zeros(CLUSTERS)), some)
    bare = collate([Example("x", sounds("1"), None, None)])
    with pytest.raises(DataError, match="x has no cluster"):
        MaskedPrediction(*PLAIN, CLUSTERS)(Fixed(torch.zeros(CLUSTERS)), bare)
    with pytest.raises(ModelError, match="no layer in common"):
        take_over(nn.Linear(3, 4), nn.Linear(4, 5))
    for options in ({"start_share": 0.0}, {"span": 0}):
        with pytest.raises(UsageError):
            MaskConfig(**options)


def tiny_network(feature_dim: int, outputs: int) -> nn.Module:
    config = TdnnfConfig(
        feature_dim, outputs, dim=16, bottleneck=6, prefinal=8, strides=(1, 3), xent=False
    )
    return Tdnnf(config)


WHOLE = MaskedConfig(
    clusters=QUANTIZER,
    mask=MaskConfig(start_share=0.03, span=6),
    train=TrainConfig(epochs=4, learning_rate=0.01, final_learning_rate=0.005, max_frames=600),
    held_out=0.1,
    longest=40,
)


def test_the_whole_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    class Killed(Exception):
        pass

    def killer(fraction: float, message: str) -> None:
        if fraction > 0.6:
            raise Killed

    names = [str(number) for number in range(40)]
    whole, summary = pretrain_masked(names, sounds, tiny_network, tmp_path / "whole", WHOLE)
    assert summary.epoch == 4 and summary.metrics["dev/loss"] < 0.9 * math.log(CLUSTERS)
    with pytest.raises(Killed):
        pretrain_masked(names, sounds, tiny_network, tmp_path / "killed", WHOLE, killer)
    resumed, _ = pretrain_masked(names, sounds, tiny_network, tmp_path / "killed", WHOLE)
    for (key, ours), theirs in zip(
        resumed.state_dict().items(), whole.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), key
    with pytest.raises(DataError, match="other options or other speech"):
        pretrain_masked(names[1:], sounds, tiny_network, tmp_path / "whole", WHOLE)
    with pytest.raises(DataError, match="too few utterances"):
        pretrain_masked(names[:1], sounds, tiny_network, tmp_path / "one", WHOLE)
