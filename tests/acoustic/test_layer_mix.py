"""A learned mean of an encoder's layers: what it equals, learns, and how it is kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from asr.acoustic.batch_scorer import BatchScorer
from asr.acoustic.encoder_front_end import EncoderFrontEnd
from asr.acoustic.encoder_top import EncoderTop, EncoderTopConfig
from asr.acoustic.layer_mix import LAST, LayerMix
from asr.acoustic.networks import network_of_section, network_section
from asr.acoustic.scorer import AcousticScorer
from asr.bundle import ACOUSTIC_FILE, ENCODER_FILE, Manifest, open_bundle, write_bundle
from asr.chain_training import ChainConfig
from asr.encoders.packed import pack, unpack
from asr.encoders.store import encoder_arrays
from asr.encoders.whisper import WhisperConfig, WhisperEncoder
from asr.errors import UsageError

SMALL = WhisperConfig(dim=64, heads=2, layers=3, inner=48, mels=80, positions=300)
MIXED = EncoderTopConfig(
    3 * SMALL.dim, 7, layers=1, mixed=3, heads=2, inner=48, dim=16, kernels=(3,), xent=False
)


@pytest.fixture(scope="module")
def encoder() -> WhisperEncoder:
    torch.manual_seed(3)
    found = WhisperEncoder(SMALL, {"name": "small", "sha256": "0" * 64})
    found.positions.normal_()
    # as a bundle keeps them: float16
    halves = {name: weight.half().float() for name, weight in found.state_dict().items()}
    found.load_state_dict(halves)
    return found.requires_grad_(False).eval()


@pytest.fixture(scope="module")
def sounds() -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.normal(0, 0.1, size).astype(np.float32) for size in (9_000, 5_123, 20)]


def top(encoder: WhisperEncoder) -> EncoderTop:
    network = EncoderTop(MIXED)
    network.take_blocks(encoder.upper_blocks(1))
    torch.manual_seed(1)
    torch.nn.init.normal_(network.outputs[0].weight)
    return network.eval()


def test_states_stand_side_by_side(encoder: WhisperEncoder, sounds: list[np.ndarray]) -> None:
    together, counts = encoder.encode(sounds[:2], 2, 3)
    for layers in range(3):
        alone, same = encoder.encode(sounds[:2], layers)
        assert same.tolist() == counts.tolist()
        part = together[:, :, layers * SMALL.dim : (layers + 1) * SMALL.dim]
        torch.testing.assert_close(part, alone, atol=1e-5, rtol=1e-5)
    long = np.concatenate([sounds[0]] * 12)  # in windows
    alone = encoder.encode([long], 2)[0]
    torch.testing.assert_close(encoder.encode([long], 2, 3)[0][..., -SMALL.dim :], alone)


def test_all_weight_on_one_layer_is_that_layer(
    encoder: WhisperEncoder, sounds: list[np.ndarray]
) -> None:
    network = top(encoder)
    plain = EncoderTop(
        EncoderTopConfig(SMALL.dim, 7, layers=1, heads=2, inner=48, dim=16, kernels=(3,),
                         xent=False)
    ).eval()  # fmt: skip
    state = network.state_dict()
    plain.load_state_dict({name: w for name, w in state.items() if not name.startswith("mix.")})
    states, counts = encoder.encode(sounds[:2], 2, 3)
    assert network.mix is not None
    with torch.no_grad():
        for layer in range(3):
            network.mix.logits.copy_(torch.where(torch.arange(3) == layer, 0.0, -torch.inf))
            part = states[:, :, layer * SMALL.dim : (layer + 1) * SMALL.dim]
            torch.testing.assert_close(
                network(states, None, counts)[0], plain(part, None, counts)[0]
            )


def test_its_weights_learn() -> None:
    """The layer that tells the answer gets the weight; gradients are those of differences."""
    torch.manual_seed(0)
    mix = LayerMix(3)
    states = torch.randn(4, 10, 3 * 5, dtype=torch.float64)
    wanted = states[:, :, 5:10]
    mix.double()
    assert torch.autograd.gradcheck(
        lambda logits: torch.func.functional_call(mix, {"logits": logits}, (states,)),
        (mix.logits,),
    )
    optimizer = torch.optim.Adam(mix.parameters(), lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        (mix(states) - wanted).square().mean().backward()
        optimizer.step()
    assert mix.weights[1] > 0.95
    assert LayerMix(4, even=False).weights[-1].item() == pytest.approx(LAST)
    torch.testing.assert_close(LayerMix(4).weights, torch.full((4,), 0.25))


def test_a_step_of_training_moves_them(encoder: WhisperEncoder, sounds: list[np.ndarray]) -> None:
    network = top(encoder).train()
    states, counts = encoder.encode(sounds[:2], 2, 3)
    network(states, None, counts)[0].square().sum().backward()
    assert network.mix is not None and network.mix.logits.grad is not None
    assert network.mix.logits.grad.abs().min() > 0


def test_it_goes_into_a_bundle_and_scores_batches(
    encoder: WhisperEncoder, sounds: list[np.ndarray], tmp_path: Path
) -> None:
    network = top(encoder)
    with torch.no_grad():
        network.mix.logits.copy_(torch.tensor([0.5, -1.0, 1.0]))  # type: ignore[union-attr]
    front_end = EncoderFrontEnd(encoder, 2, 3)
    scorer = AcousticScorer(front_end, network, 1.5)
    description, weights = network_section(network)
    manifest = Manifest(
        "m", "ko", 16_000, "none",
        sections={"features": front_end.section(), "acoustic": {**description, "scale": 1.5}},
    )  # fmt: skip
    arrays = {name: weight.numpy() for name, weight in weights.items()}
    write_bundle(
        tmp_path / "m", manifest, {ACOUSTIC_FILE: arrays, ENCODER_FILE: encoder_arrays(encoder)}
    )
    again = AcousticScorer.from_bundle(open_bundle(tmp_path / "m"))
    batch, counts = BatchScorer(again).scores(sounds)
    assert counts[2] == 0
    for sound, row, count in zip(sounds, batch, counts.tolist(), strict=True):
        alone = scorer.scores(sound)
        np.testing.assert_allclose(again.scores(sound), alone, atol=1e-4, rtol=1e-3)
        np.testing.assert_allclose(row[:count].numpy(), alone, atol=1e-4, rtol=1e-3)


def test_it_is_packed_with_the_rest(encoder: WhisperEncoder, sounds: list[np.ndarray]) -> None:
    network = top(encoder)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    section, weights = network_section(network)
    arrays = {name: weight.numpy() for name, weight in weights.items()}
    own = encoder.upper_blocks(1)
    packed = pack(arrays, own)
    assert packed["blocks.0.up.weight"].dtype == np.int8
    back = {name: torch.from_numpy(a).float() for name, a in unpack(packed, own).items()}
    again = network_of_section(section, back).eval()
    states, counts = encoder.encode(sounds[:2], 2, 3)
    torch.testing.assert_close(
        again(states, None, counts)[0], network(states, None, counts)[0], atol=0.05, rtol=0.02
    )
    torch.testing.assert_close(back["mix.logits"], weights["mix.logits"], atol=1e-3, rtol=1e-3)


def test_what_cannot_be_mixed_is_refused(encoder: WhisperEncoder) -> None:
    with pytest.raises(ValueError, match="2 layers give 3 states, not 4"):
        EncoderFrontEnd(encoder, 2, 4)
    for mixed in (0, "x"):
        with pytest.raises(UsageError, match="number of them"):
            ChainConfig.for_encoder(1, mixed)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="multiple"):
        EncoderTopConfig(100, 7, mixed=3, heads=2)
    assert ("network.mix", 10.0) in ChainConfig.for_encoder(3, 2).training.rates
