"""Restricted Boltzmann machines, against the sums over all states of a tiny one."""

import itertools

import pytest
import torch
from torch import Tensor

from asr.errors import UsageError
from asr.pretraining.autoencoder import AutoencoderConfig, AutoencoderTrainer
from asr.pretraining.rbm import Rbm, RbmConfig, RbmTrainer

VISIBLE, HIDDEN = 4, 3


def states(size: int) -> Tensor:
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=size)), dtype=torch.float64)


def tiny(seed: int, gaussian: bool = False) -> Rbm:
    generator = torch.Generator().manual_seed(seed)
    arrays = [
        torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in ((VISIBLE, HIDDEN), (VISIBLE,), (HIDDEN,))
    ]
    return Rbm(*arrays, gaussian=gaussian)


def energy(rbm: Rbm, visible: Tensor, hidden: Tensor) -> Tensor:
    own = -(visible @ rbm.visible_bias)
    if rbm.gaussian:
        own = 0.5 * (visible - rbm.visible_bias).square().sum(-1)
    return own - hidden @ rbm.hidden_bias - torch.einsum("v,vh,h->", visible, rbm.weight, hidden)


def energies(rbm: Rbm, visible: Tensor) -> Tensor:
    """Of one visible state with every hidden one."""
    return torch.stack([energy(rbm, visible, hidden) for hidden in states(HIDDEN)])


def log_likelihood(rbm: Rbm, data: Tensor) -> Tensor:
    """Of each row, with the partition function by enumeration."""
    everything = torch.stack([energies(rbm, row) for row in states(VISIBLE)])
    log_z = torch.logsumexp(-everything.flatten(), dim=0)
    kinds, which = data.unique(dim=0, return_inverse=True)
    likelihoods = torch.stack([torch.logsumexp(-energies(rbm, row), dim=0) for row in kinds])
    return likelihoods[which] - log_z


def patterns(count: int, seed: int) -> Tensor:
    """Rows that repeat a few patterns, a bit flipped now and then."""
    generator = torch.Generator().manual_seed(seed)
    kinds = torch.tensor([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0]], dtype=torch.float64)
    rows = kinds[torch.randint(3, (count,), generator=generator)]
    flips = torch.rand(count, VISIBLE, generator=generator) < 0.05
    return torch.where(flips, 1 - rows, rows)


@pytest.mark.parametrize("gaussian", [False, True])
def test_free_energy_is_minus_log_of_the_sum_over_hidden_states(gaussian: bool) -> None:
    rbm = tiny(1, gaussian)
    data = torch.randn(6, VISIBLE, generator=torch.Generator().manual_seed(2)).double()
    for row, value in zip(data, rbm.free_energy(data), strict=True):
        torch.testing.assert_close(value, -torch.logsumexp(-energies(rbm, row), dim=0))


@pytest.mark.parametrize("gaussian", [False, True])
def test_hidden_probabilities_are_those_of_the_enumerated_states(gaussian: bool) -> None:
    rbm, row = tiny(3, gaussian), torch.tensor([0.3, -1.0, 2.0, 0.5], dtype=torch.float64)
    weights = torch.softmax(-energies(rbm, row), dim=0)
    torch.testing.assert_close(rbm.hidden(row[None])[0], weights @ states(HIDDEN))


def test_many_gibbs_steps_give_the_exact_gradient() -> None:
    rbm = tiny(4)
    data = patterns(20_000, 5)
    parameters = [rbm.weight, rbm.visible_bias, rbm.hidden_bias]
    for parameter in parameters:
        parameter.requires_grad_()
    log_likelihood(rbm, data).mean().backward()
    for parameter in parameters:
        parameter.requires_grad_(False)
    config = RbmConfig(steps=40, sample_visible=True)
    gradient, _ = rbm.contrast(data, torch.Generator().manual_seed(6), config)
    for ours, parameter in zip(
        (gradient.weight, gradient.visible_bias, gradient.hidden_bias), parameters, strict=True
    ):
        torch.testing.assert_close(ours, parameter.grad, atol=0.015, rtol=0)
        assert parameter.grad.abs().max() > 0.05  # and there was something to get wrong


def test_gaussian_contrast_vanishes_on_what_the_machine_itself_draws() -> None:
    rbm = tiny(7, gaussian=True)
    generator = torch.Generator().manual_seed(8)
    config = RbmConfig(sample_visible=True)
    visible = torch.randn(20_000, VISIBLE, generator=generator, dtype=torch.float64)
    for _ in range(60):  # Gibbs sampling to equilibrium, by the formulas written out
        on = torch.rand(20_000, HIDDEN, generator=generator) < rbm.hidden(visible)
        mean = rbm.visible_bias + on.double() @ rbm.weight.T
        visible = mean + torch.randn(mean.shape, generator=generator, dtype=torch.float64)
    at_rest, _ = rbm.contrast(visible, generator, config)
    moved, _ = rbm.contrast(visible + 1.0, generator, config)
    assert at_rest.visible_bias.abs().max() < 0.05 and at_rest.weight.abs().max() < 0.05
    assert moved.visible_bias.abs().max() > 0.3


def test_learning_makes_the_data_likelier() -> None:
    data = patterns(2000, 9)
    generator = torch.Generator().manual_seed(10)
    start = Rbm.random(VISIBLE, HIDDEN, False, generator)
    start = Rbm(*(a.double() for a in (start.weight, start.visible_bias, start.hidden_bias)), False)
    trainer = RbmTrainer(start, RbmConfig(learning_rate=0.1, weight_decay=0.0), seed=0)
    likelihoods, errors = [float(log_likelihood(start, data[:200]).mean())], []
    for _ in range(40):
        errors.append(sum(trainer.step(batch) for batch in data.split(50)) / 40)
        likelihoods.append(float(log_likelihood(trainer.rbm, data[:200]).mean()))
    assert likelihoods[0] == pytest.approx(-VISIBLE * 0.693, abs=0.05)
    assert likelihoods[-1] > -2.0 and likelihoods[-1] > likelihoods[10] > likelihoods[0]
    assert errors[-1] < 0.6 * errors[0]


def test_momentum_decay_and_the_longest_step() -> None:
    data = patterns(64, 11)
    plain = RbmConfig(learning_rate=1.0, first_momentum=0.0, momentum=0.5, momentum_steps=1,
                      weight_decay=0.1, max_norm=0.01)  # fmt: skip
    start = tiny(12)
    trainer = RbmTrainer(start, plain, seed=3)
    trainer.step(data)
    first = trainer.rbm.weight - start.weight
    limited = first + 0.1 * start.weight
    assert float(limited.norm()) == pytest.approx(0.01)
    before = trainer.rbm.weight
    trainer.step(data)
    second = trainer.rbm.weight - before - 0.5 * first + 0.1 * before
    assert float(second.norm()) == pytest.approx(0.01)


@pytest.mark.parametrize("gaussian", [False, True])
def test_autoencoder_restores_what_noise_took(gaussian: bool) -> None:
    generator = torch.Generator().manual_seed(13)
    hidden = torch.randn(2000, 2, generator=generator)
    data = hidden @ torch.randn(2, 12, generator=generator)
    data = data if gaussian else torch.sigmoid(2 * data)
    config = AutoencoderConfig(learning_rate=0.01)
    trainer = AutoencoderTrainer(12, 16, gaussian, config, seed=0)
    errors = [sum(trainer.step(b) for b in data.split(100)) / 20 for _ in range(15)]
    # two numbers tell all that there is: less is wrong than the noise of variance ¼ put in
    assert errors[-1] < (0.22 if gaussian else 0.02) and errors[-1] < 0.5 * errors[0]


def test_options_that_make_no_sense() -> None:
    for options in ({"learning_rate": 0.0}, {"steps": 0}, {"momentum": 1.0}, {"max_norm": -1.0}):
        with pytest.raises(UsageError):
            RbmConfig(**options)
    with pytest.raises(UsageError):
        AutoencoderConfig(dropped=1.0)
