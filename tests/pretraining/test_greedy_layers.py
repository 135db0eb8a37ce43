"""Greedy pre-training of layers: what they learn, their order, their files, and their use."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from asr.acoustic.mlp import Mlp, MlpConfig
from asr.errors import AudioError, DataError, ModelError, UsageError
from asr.pretraining.frames import FramePool, gather_frames
from asr.pretraining.greedy import EpochReport, GreedyConfig, pretrain_layers
from asr.pretraining.rbm import RbmConfig
from asr.pretraining.stack import LayerStack

DIM = 4


def utterance(name: str) -> Tensor:
    """A smooth path: neighbours tell of each other."""
    generator = torch.Generator().manual_seed(int(name))
    steps = torch.randn(40 + int(name), DIM, generator=generator)
    smooth = torch.nn.functional.avg_pool1d(steps.T[None], 5, 1, 2)[0].T
    return 3.0 * smooth + torch.arange(DIM)


def pool(utterances: int = 30, context: int = 2, max_frames: int = 10_000) -> FramePool:
    names = [str(number) for number in range(utterances)]
    return gather_frames(names, utterance, context, max_frames)


def test_windows_repeat_the_ends_of_their_own_utterance() -> None:
    frames = pool(3)
    assert len(frames) == 40 + 41 + 42 and frames.width == 5 * DIM
    starts = frames.first.unique().tolist()
    lengths = [end - start for start, end in zip(starts, [*starts[1:], len(frames)], strict=True)]
    assert sorted(lengths) == [40, 41, 42]
    start = starts[1]
    window = frames.windows(torch.tensor([start, start - 1])).view(2, 5, DIM)
    own = frames.feats
    torch.testing.assert_close(window[0], own[[start, start, start, start + 1, start + 2]])
    torch.testing.assert_close(
        window[1], own[[start - 3, start - 2, start - 1, start - 1, start - 1]]
    )
    torch.testing.assert_close(frames.feats.mean(0), torch.zeros(DIM), atol=1e-5, rtol=0)
    torch.testing.assert_close(frames.feats.square().mean(0), torch.ones(DIM), atol=1e-4, rtol=0)
    original = frames.feats * frames.deviation + frames.mean
    torch.testing.assert_close(
        original[start : start + lengths[1]], utterance(str(lengths[1] - 40))
    )


def test_every_frame_comes_once_an_epoch_in_an_order_that_the_seed_decides() -> None:
    frames = pool(4)
    first = torch.cat(list(frames.shuffled(13, seed=1, epoch=0)))
    assert len(first) == len(frames) // 13 * 13 and len(first.unique()) == len(first)
    assert torch.equal(first, torch.cat(list(frames.shuffled(13, seed=1, epoch=0))))
    assert not torch.equal(first, torch.cat(list(frames.shuffled(13, seed=1, epoch=1))))


def test_a_pool_holds_no_more_than_asked_for_and_leaves_out_what_fails(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert len(pool(30, max_frames=200)) == 200

    def some(name: str) -> Tensor:
        if name == "1":
            raise AudioError("no sound")
        return utterance(name)

    assert len(gather_frames(["0", "1"], some, 1)) == 40
    assert "1 utterances were left out; the first is 1: no sound" in caplog.text
    with pytest.raises(DataError, match="no speech"):
        gather_frames(["1"], some, 1)
    with pytest.raises(UsageError):
        gather_frames(["0"], some, -1)


SMALL = GreedyConfig(
    layers=2,
    dim=16,
    epochs=6,
    batch=32,
    rbm=RbmConfig(learning_rate=0.1, gaussian_learning_rate=0.02, momentum_steps=50),
)


@pytest.mark.parametrize("kind", ["rbm", "autoencoder"])
def test_layers_learn_to_restore_their_input(kind: str) -> None:
    config = replace(SMALL, kind=kind)  # type: ignore[arg-type]
    reports: list[EpochReport] = []
    told: list[tuple[float, str]] = []
    stack = pretrain_layers(
        pool(), config, lambda f, m: told.append((f, m)), after_epoch=reports.append
    )
    assert [(r.layer, r.epoch) for r in reports] == [
        (layer, e) for layer in (1, 2) for e in range(1, 7)
    ]
    for layer in (1, 2):
        errors = [report.error for report in reports if report.layer == layer]
        assert errors[-1] < 0.9 * errors[0], (layer, errors)
    assert [w.shape for w, _ in stack.layers] == [(16, 5 * DIM), (16, 16)]
    assert [fraction for fraction, _ in told][-1] == 1.0 and "layer 2/2" in told[-1][1]
    if kind == "rbm":
        assert all(r.gap is not None and abs(r.gap) < 3.0 for r in reports)
    again = pretrain_layers(pool(), config)
    for (a, b), (c, d) in zip(stack.layers, again.layers, strict=True):
        assert torch.equal(a, c) and torch.equal(b, d)


def test_what_was_stopped_after_a_layer_goes_on_to_the_same_layers(tmp_path: Path) -> None:
    kept: list[LayerStack] = []
    whole = pretrain_layers(pool(), SMALL, after_layer=kept.append)
    kept[0].save(tmp_path / "one.safetensors")
    begun = LayerStack.load(tmp_path / "one.safetensors")
    assert len(begun.layers) == 1 and begun.context == 2
    resumed = pretrain_layers(pool(), SMALL, begun=begun)
    assert torch.equal(resumed.layers[1][0], whole.layers[1][0])
    torch.testing.assert_close(begun.mean, pool().mean)


def test_damaged_layers_are_not_gone_on_from(tmp_path: Path) -> None:
    path = tmp_path / "layers.safetensors"
    pretrain_layers(pool(), SMALL).save(path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="its checksum differs"):
        LayerStack.load(path)


def test_files_that_hold_no_layers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="asr pretrain"):
        LayerStack.load(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("no tensors here at all")
    with pytest.raises(DataError, match="asr pretrain"):
        LayerStack.load(tmp_path / "text.safetensors")


def test_a_networks_hidden_layers_compute_what_was_pretrained() -> None:
    frames = pool()
    stack = pretrain_layers(frames, replace(SMALL, epochs=1))
    network = Mlp(MlpConfig(DIM, num_pdfs=7, ivector_dim=3, context=2, layers=3, dim=16))
    network.normalise_input(stack.mean, stack.deviation)
    hidden = network.hidden_layers()
    ivector_part, third = hidden[0][0][:, 5 * DIM :].clone(), hidden[2][0].clone()
    stack.initialise(hidden)
    assert torch.equal(hidden[0][0][:, 5 * DIM :], ivector_part) and bool(ivector_part.any())
    assert torch.equal(hidden[2][0], third)
    seen: list[Tensor] = []
    sigmoid = network._layer_of["hidden2.sigmoid"]
    sigmoid.register_forward_hook(lambda module, inputs, output: seen.append(output))
    network.eval()
    with torch.no_grad():
        network(utterance("5")[None], torch.zeros(1, 3))
    start = next(s for s in frames.first.unique().tolist() if int((frames.first == s).sum()) == 45)
    expected = stack.activations(frames.windows(torch.arange(start, start + 45)))
    torch.testing.assert_close(seen[0][0], expected, atol=1e-5, rtol=1e-5)


def test_layers_that_do_not_fit_are_refused() -> None:
    stack = pretrain_layers(pool(), replace(SMALL, epochs=1))
    linear = [nn.Linear(20, 16), nn.Linear(16, 15)]
    with pytest.raises(ModelError, match="layer 2 is 16 x 16, the network's 15 x 16"):
        stack.initialise([(layer.weight, layer.bias) for layer in linear])
    with pytest.raises(ModelError, match="fewer layers"):
        stack.initialise([(linear[0].weight, linear[0].bias)])
    with pytest.raises(UsageError, match="more speech"):
        pretrain_layers(pool(1), replace(SMALL, batch=64))
    with pytest.raises(UsageError, match="rbm or autoencoder"):
        GreedyConfig(kind="dbn")  # type: ignore[arg-type]
