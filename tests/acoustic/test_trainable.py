"""Networks that learn: against torch on the definition, Nnet's execution, and lone utterances."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from asr.acoustic.batch_norm import STATISTICS_DECAY, TrainedBatchNorm
from asr.acoustic.conformer import Conformer, ConformerConfig, relative_positions
from asr.acoustic.mlp import Mlp, MlpConfig, log_priors
from asr.acoustic.networks import build_network, describe_network, load_network, save_network
from asr.acoustic.nnet import Nnet
from asr.acoustic.orthonormal import constrain_semi_orthogonal, orthonormality_error
from asr.acoustic.spec import Component, NnetSpec
from asr.acoustic.tdnnf import Tdnnf, TdnnfConfig
from asr.acoustic.trainable import TrainableNnet
from asr.errors import DataError, ModelError, UsageError

TDNNF = TdnnfConfig(7, 11, ivector_dim=3, dim=24, bottleneck=8, strides=(1, 0, 3), prefinal=10)
MLP = MlpConfig(7, 11, context=2, layers=2, dim=16)
CONFORMER = ConformerConfig(7, 11, ivector_dim=3, dim=16, layers=2, channels=3, kernel=5)
LENGTHS = torch.tensor([40, 23, 31, 1])


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    """Features [4, 40, 7], zero behind each length; i-vectors; lengths."""
    inside = torch.arange(40) < LENGTHS[:, None]
    return noise(4, 40, 7) * inside[:, :, None], noise(4, 3), LENGTHS


def shaken(network: torch.nn.Module) -> torch.nn.Module:
    """With other parameters than the first, which are zero at the output."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * noise(*parameter.shape))
    return network


def norm_layer(dim: int, rms: float = 0.7) -> TrainedBatchNorm:
    arrays = {"mean": np.zeros(dim, np.float32), "variance": np.ones(dim, np.float32)}
    return TrainedBatchNorm(Component("batch_norm", {"epsilon": 1e-3, "target_rms": rms}, arrays))


def test_batch_norm_is_torchs_over_the_real_frames_and_so_are_its_gradients() -> None:
    layer = norm_layer(5).train()
    mask = torch.arange(9) < torch.tensor([9, 4, 6])[:, None]
    x = noise(3, 9, 5).requires_grad_()
    weights = noise(3, 9, 5) * mask[:, :, None]
    (layer(x, mask) * weights).sum().backward()
    mine, x.grad = x.grad, None
    real = F.batch_norm(x[mask], None, None, torch.full((5,), 0.7), training=True, eps=1e-3)
    (real * weights[mask]).sum().backward()
    torch.testing.assert_close(layer(x, mask)[mask], real, atol=1e-5, rtol=0)
    torch.testing.assert_close(mine, x.grad, atol=1e-5, rtol=0)


def test_batch_norm_keeps_statistics_weighted_by_frames() -> None:
    layer = norm_layer(2).train()
    first, second = noise(1, 50, 2) + 3, 2 * noise(1, 20, 2)
    layer(first)
    layer(second)
    weights = torch.cat([torch.full((50,), STATISTICS_DECAY), torch.ones(20)])
    weights /= weights.sum()
    rows = torch.cat([first[0], second[0]])
    mean = weights @ rows
    torch.testing.assert_close(layer.mean, mean, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        layer.variance, weights @ (rows - mean).square(), atol=1e-4, rtol=1e-5
    )
    assert float(layer.count) == pytest.approx(60)


@pytest.mark.parametrize("config", [TDNNF, MLP], ids=["tdnnf", "mlp"])
def test_an_exported_graph_gives_the_same_outputs(config: TdnnfConfig | MlpConfig) -> None:
    network = shaken(Tdnnf(config) if isinstance(config, TdnnfConfig) else Mlp(config))
    assert isinstance(network, TrainableNnet)
    feats, ivectors, lengths = inputs()
    speakers = ivectors if config.ivector_dim else None
    network.normalise_input(feats.mean((0, 1)), feats.std((0, 1)))
    network.train()(feats, speakers, lengths)  # batch norm sees something
    network.eval()
    with torch.no_grad():
        mine, found_lengths = network(feats, speakers, lengths)
        described, arrays = network.to_graph().to_json()
        again = Nnet(NnetSpec.from_json(described, arrays), network.subsampling)
        theirs, expected_lengths = again(feats, speakers, lengths)
        fused, _ = network.fused()(feats, speakers, lengths)
    assert mine.abs().max() > 0.1
    torch.testing.assert_close(theirs, mine, atol=1e-5, rtol=0)
    torch.testing.assert_close(fused, mine, atol=1e-5, rtol=0)
    torch.testing.assert_close(found_lengths, expected_lengths)


def test_both_heads_of_a_tdnnf_are_outputs_of_its_graph() -> None:
    network = shaken(Tdnnf(TDNNF)).eval()
    feats, ivectors, lengths = inputs()
    with torch.no_grad():
        heads, _ = network.heads(feats, ivectors, lengths)
        for name, values in heads.items():
            graph = network.to_graph()
            expected, _ = Nnet(graph, 3, name)(feats, ivectors, lengths)
            torch.testing.assert_close(values, expected, atol=1e-5, rtol=0)
    inside = heads["output-xent"][0].exp().sum(1)
    torch.testing.assert_close(inside, torch.ones_like(inside))


@pytest.mark.parametrize("make", [lambda: Tdnnf(TDNNF), lambda: Conformer(CONFORMER)])
def test_an_utterance_gives_the_same_alone_and_in_a_batch(make) -> None:
    network = shaken(make()).eval()
    feats, ivectors, lengths = inputs()
    with torch.no_grad():
        heads, output_lengths = network.heads(feats, ivectors, lengths)
        for row, length in enumerate(lengths.tolist()):
            alone, _ = network.heads(feats[row : row + 1, :length], ivectors[row : row + 1])
            for name, values in heads.items():
                end = int(output_lengths[row])
                torch.testing.assert_close(values[row, :end], alone[name][0], atol=1e-5, rtol=0)
                assert not values[row, end:].any()


def test_padding_changes_nothing_that_a_tdnnf_learns() -> None:
    """Gradients and batch norm's statistics, with what is behind an utterance's end replaced."""
    gradients = []
    for tail in (0, 9):
        network = shaken(Tdnnf(TDNNF)).train()
        feats, ivectors, lengths = inputs()
        feats = torch.cat([feats, 100 * noise(4, tail, 7)], dim=1)
        outputs, output_lengths = network(feats, ivectors, lengths)
        assert output_lengths.tolist() == [14, 8, 11, 1]
        (outputs[:, :14] * noise(4, 14, 11)).sum().backward()
        values = [p.grad for p in network.parameters() if p.grad is not None]
        gradients.append(values + [b.float() for b in network.buffers()])
    assert len(gradients[0]) > 20
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", [(8, 40), (40, 8)])
def test_the_constraint_makes_a_matrix_semi_orthogonal(shape: tuple[int, int]) -> None:
    weight = noise(*shape) * 3
    size = weight.norm()
    for _ in range(60):
        constrain_semi_orthogonal(weight)
    singular = torch.linalg.svdvals(weight)
    assert float(singular.max() / singular.min()) == pytest.approx(1.0, abs=1e-4)
    assert orthonormality_error(weight) < 1e-4
    assert weight.norm() == pytest.approx(float(size), rel=0.3)  # its scale floats, it is kept
    for _ in range(80):
        constrain_semi_orthogonal(weight / weight.norm(), 1.0)
    fixed = weight / singular[0] * 0.9
    for _ in range(30):
        constrain_semi_orthogonal(fixed, 1.0)
    torch.testing.assert_close(torch.linalg.svdvals(fixed), torch.ones(8), atol=1e-4, rtol=0)


def test_only_the_factors_of_a_tdnnf_are_constrained() -> None:
    network = shaken(Tdnnf(TDNNF))
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    network.constrain()
    names = network.parameter_names()
    changed = {names[n] for n, p in network.named_parameters() if not torch.equal(p, before[n])}
    assert changed == {
        *(f"tdnnf{number}.linear.weight" for number in (2, 3, 4)),
        "prefinal-l.weight",
        "prefinal-chain.linear.weight",
        "prefinal-xent.linear.weight",
    }


def test_dropout_is_constant_in_time_and_does_nothing_in_inference() -> None:
    network = Mlp(MlpConfig(7, 11, context=0, layers=1, dim=64))
    feats = noise(2, 1, 7).expand(2, 6, 7)
    network = shaken(network).train()
    plain, _ = network(feats)
    network.set_dropout(0.3)
    torch.manual_seed(1)
    dropped, _ = network(feats)
    torch.testing.assert_close(dropped, dropped[:, :1].expand_as(dropped))
    assert (dropped - plain).abs().max() > 1e-3
    torch.testing.assert_close(network.eval()(feats)[0], plain)


def test_the_hybrid_subtracts_priors() -> None:
    network = shaken(Mlp(MLP)).eval()
    priors = log_priors(np.array([0, *range(1, 11)]))
    assert np.exp(priors[1:]).sum() == pytest.approx(1.0)
    assert priors[0] == 0.0  # never seen: nothing sounds like it
    assert log_priors(np.array([1, 10**7]))[0] == pytest.approx(np.log(1e-5))
    feats = inputs()[0]
    with torch.no_grad():
        posteriors, _ = network(feats)
        likelihoods, _ = network.to_hybrid(priors)(feats)
    torch.testing.assert_close(likelihoods, posteriors - torch.from_numpy(priors))
    with pytest.raises(DataError, match="align"):
        log_priors(np.zeros(3))


def test_attention_knows_distances_by_their_definition() -> None:
    attention = Conformer(CONFORMER).eval().blocks[0].attention
    with torch.no_grad():
        attention.position_bias.copy_(noise(*attention.position_bias.shape))
        attention.content_bias.copy_(noise(*attention.content_bias.shape) + 1)
    x = noise(1, 6, 16)
    table = relative_positions(6, 16, x.device)
    with torch.no_grad():
        found = attention(x, torch.ones(1, 6, dtype=torch.bool), table)
        q, k, v = attention.inward(attention.norm(x))[0].chunk(3, dim=1)
        rows = []
        for i in range(6):
            heads = []
            for h in range(4):
                part = slice(4 * h, 4 * h + 4)
                scores = torch.stack([
                    (q[i, part] + attention.content_bias[h, 0]) @ k[j, part]
                    + (q[i, part] + attention.position_bias[h, 0])
                    @ attention.position(table[5 - (i - j)])[part]
                    for j in range(6)
                ])  # fmt: skip
                heads.append((scores / 2).softmax(0) @ v[:, part])
            rows.append(torch.cat(heads))
        expected = attention.outward(torch.stack(rows))
    torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=1e-5)
    assert table[5].tolist() == [0, 1] * 8  # no distance: sin 0, cos 0


@pytest.mark.parametrize("subsampling", [3, 4])
@pytest.mark.parametrize("frames", [1, 2, 5, 12])
def test_a_conformer_counts_its_outputs_as_every_network(subsampling: int, frames: int) -> None:
    config = ConformerConfig(5, 3, dim=8, heads=2, layers=1, channels=2, subsampling=subsampling)
    outputs, lengths = Conformer(config).eval()(noise(1, frames, 5))
    assert outputs.shape[1] == int(lengths[0]) == -(-frames // subsampling)


@pytest.mark.parametrize(
    "make", [lambda: Tdnnf(TDNNF), lambda: Mlp(MLP), lambda: Conformer(CONFORMER)]
)
def test_half_precision_gives_about_the_same(make) -> None:
    """As on a GPU; loud features, whose squares only float32 can sum."""
    feats, ivectors, lengths = inputs()
    found = []
    for enabled in (False, True):
        network = shaken(make()).train()
        network.set_dropout(0.0)
        speakers = ivectors if network.ivector_dim else None
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            outputs, _ = network(10 * feats, speakers, lengths)
        outputs.square().sum().backward()
        assert outputs.dtype == torch.float32
        gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
        found.append((outputs.detach(), torch.cat(gradients)))
    (outputs, gradient), (half_outputs, half_gradient) = found
    assert (half_outputs - outputs).norm() < 0.03 * outputs.norm()
    cosine = F.cosine_similarity(half_gradient, gradient, dim=0)
    assert 0.98 < cosine < 1 - 1e-7


def test_networks_are_described_saved_and_loaded(tmp_path) -> None:
    feats, ivectors, lengths = inputs()
    for config, make in ((TDNNF, Tdnnf), (CONFORMER, Conformer)):
        network = shaken(make(config)).eval()
        assert describe_network(build_network(describe_network(network))) == describe_network(
            network
        )
        save_network(tmp_path / "n", network)
        again = load_network(tmp_path / "n")
        torch.testing.assert_close(
            again(feats, ivectors, lengths)[0], network(feats, ivectors, lengths)[0]
        )
    imported = TrainableNnet(shaken(Tdnnf(TDNNF)).to_graph(), 3, ("output", "output-xent")).eval()
    save_network(tmp_path / "n", imported)
    again = load_network(tmp_path / "n")
    found, expected = (n.heads(feats, ivectors, lengths)[0] for n in (again, imported))
    torch.testing.assert_close(found, expected)


def test_what_cannot_be_built_or_loaded_says_so(tmp_path) -> None:
    with pytest.raises(UsageError, match="no network 'lstm'"):
        build_network({"kind": "lstm"})
    with pytest.raises(UsageError, match="unexpected keyword"):
        build_network({"kind": "mlp", "feature_dim": 3, "num_pdfs": 4, "size": 5})
    with pytest.raises(UsageError, match="3 or 4"):
        build_network({"kind": "conformer", "feature_dim": 3, "num_pdfs": 4, "subsampling": 2})
    with pytest.raises(ModelError, match="save or train it again"):
        load_network(tmp_path)
    save_network(tmp_path / "n", Mlp(MLP))
    (tmp_path / "n" / "network.safetensors").write_bytes(b"\x01")
    with pytest.raises(ModelError, match="header"):
        load_network(tmp_path / "n")
    with pytest.raises(ModelError, match="no output"):
        TrainableNnet(Mlp(MLP).to_graph(), 1, ("output", "output-xent"))


def test_an_imported_network_can_be_trained_as_it_is(korean_model) -> None:
    """The default model: the same outputs, and a gradient for every weight."""
    from asr.bundle import ACOUSTIC_FILE, open_bundle

    bundle = open_bundle(korean_model)
    described = bundle.manifest.sections["acoustic"]["nnet"]
    arrays = bundle.tensors(ACOUSTIC_FILE)
    tensors = {name: torch.from_numpy(a.copy()) for name, a in arrays.items()}
    reference = Nnet.from_spec(described, tensors)
    network = TrainableNnet(
        NnetSpec.from_json(described, arrays), described["subsampling"], fixed_batch_norm=True
    )
    feats, ivectors = noise(2, 30, network.feature_dim), noise(2, network.ivector_dim)
    lengths = torch.tensor([30, 18])
    outputs, _ = network.train()(feats, ivectors, lengths)
    with torch.no_grad():
        expected, _ = reference(feats, ivectors, lengths)
    torch.testing.assert_close(outputs, expected, atol=1e-4, rtol=1e-5)
    outputs.square().sum().backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in network.parameters())
