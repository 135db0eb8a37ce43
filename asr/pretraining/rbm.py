"""Restricted Boltzmann machines, trained by contrastive divergence.

G. Hinton, "A practical guide to training restricted Boltzmann machines" (2012), whose choices these
are; G. Dahl et al. (2012) for the Gaussian one below speech.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from asr.errors import UsageError


@dataclass(frozen=True, slots=True)
class RbmConfig:
    """Options of contrastive divergence.

    Attributes:
        learning_rate: for the mean gradient of a batch, binary visible units.
        gaussian_learning_rate: the same for real-valued ones, which bear less.
        momentum, first_momentum: the second for the first ``momentum_steps`` batches.
        momentum_steps: see there.
        weight_decay: L2, on weights only.
        steps: of Gibbs sampling (k of CD-k).
        sample_visible: draw the reconstruction from its distribution, not take its mean; noisier,
            but exact in the limit of many steps.
        max_norm: the longest a batch's mean gradient of the weights may be; 0 = any.
    """

    learning_rate: float = 0.02
    gaussian_learning_rate: float = 0.002
    momentum: float = 0.9
    first_momentum: float = 0.5
    momentum_steps: int = 1000
    weight_decay: float = 2e-4
    steps: int = 1
    sample_visible: bool = False
    max_norm: float = 0.0

    def __post_init__(self) -> None:
        if min(self.learning_rate, self.gaussian_learning_rate) <= 0 or self.steps < 1:
            raise UsageError("learning rates must be above 0, and CD needs at least 1 step")
        if not (0 <= self.first_momentum < 1 and 0 <= self.momentum < 1):
            raise UsageError("a momentum must be at least 0 and below 1")
        if min(self.weight_decay, self.max_norm, self.momentum_steps) < 0:
            raise UsageError("weight_decay, max_norm and momentum_steps cannot be negative")


@dataclass(frozen=True, slots=True, eq=False)
class Gradient:
    """Of the log-likelihood, or an estimate of it: what the parameters are moved along."""

    weight: Tensor
    visible_bias: Tensor
    hidden_bias: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Rbm:
    """Hidden units are binary; visible ones binary or, if ``gaussian``, real with variance 1.

    Energy: −v·W h − b·v − c·h, with ½|v − b|² in place of −b·v for real-valued units.

    Attributes:
        weight: W, float [V, H].
        visible_bias: b, float [V].
        hidden_bias: c, float [H].
        gaussian: whether visible units are real-valued.
    """

    weight: Tensor
    visible_bias: Tensor
    hidden_bias: Tensor
    gaussian: bool

    @classmethod
    def random(cls, visible: int, hidden: int, gaussian: bool, generator: torch.Generator) -> Rbm:
        """Weights of deviation 0.01 and biases 0 (the guide's section 8), on the CPU."""
        weight = 0.01 * torch.randn(visible, hidden, generator=generator)
        return cls(weight, torch.zeros(visible), torch.zeros(hidden), gaussian)

    def hidden(self, visible: Tensor) -> Tensor:
        """Probabilities that hidden units are on: [n, V] → [n, H]."""
        return torch.sigmoid(torch.addmm(self.hidden_bias, visible, self.weight))

    def visible(self, hidden: Tensor) -> Tensor:
        """Means of visible units: [n, H] → [n, V]."""
        mean = torch.addmm(self.visible_bias, hidden, self.weight.T)
        return mean if self.gaussian else torch.sigmoid(mean)

    def free_energy(self, visible: Tensor) -> Tensor:
        """−log Σ_h exp(−energy): [n, V] → [n]."""
        inputs = torch.addmm(self.hidden_bias, visible, self.weight)
        hidden = torch.nn.functional.softplus(inputs).sum(dim=1)
        if self.gaussian:
            return 0.5 * (visible - self.visible_bias).square().sum(dim=1) - hidden
        return -(visible @ self.visible_bias) - hidden

    def contrast(
        self, data: Tensor, generator: torch.Generator, config: RbmConfig
    ) -> tuple[Gradient, Tensor]:
        """Contrastive divergence on a batch [n, V].

        Hidden states are drawn but for the last ones, whose probabilities count (the guide's
        section 3).

        Returns:
            the mean gradient, and the reconstruction after the first step: [n, V].
        """
        hidden = self.hidden(data)
        positive = self._statistics(data, hidden)
        first = visible = data
        for step in range(config.steps):
            visible = self.visible(_drawn(hidden, generator))
            if step == 0:
                first = visible
            if config.sample_visible:
                visible = self._sampled(visible, generator)
            hidden = self.hidden(visible)
        negative = self._statistics(visible, hidden)
        difference = (a - b for a, b in zip(positive, negative, strict=True))
        return Gradient(*difference), first

    def moved(self, step: Gradient) -> Rbm:
        """The machine after a step in parameter space."""
        return Rbm(
            self.weight + step.weight,
            self.visible_bias + step.visible_bias,
            self.hidden_bias + step.hidden_bias,
            self.gaussian,
        )

    def to(self, device: torch.device | str) -> Rbm:
        """The machine on a device."""
        return replace(
            self,
            weight=self.weight.to(device),
            visible_bias=self.visible_bias.to(device),
            hidden_bias=self.hidden_bias.to(device),
        )

    def _statistics(self, visible: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Means over a batch of v hᵀ, v and h: minus the energy's derivatives but for a constant.

        Of ½|v − b|² the derivative by b is v − b; b cancels in the difference.
        """
        return visible.T @ hidden / len(visible), visible.mean(dim=0), hidden.mean(dim=0)

    def _sampled(self, mean: Tensor, generator: torch.Generator) -> Tensor:
        if not self.gaussian:
            return _drawn(mean, generator)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return mean + noise


class RbmTrainer:
    """Moves a machine batch by batch.

    Args:
        rbm: where to begin.
        config: options.
        seed: of what is drawn.
    """

    def __init__(self, rbm: Rbm, config: RbmConfig, seed: int) -> None:
        self.rbm = rbm
        self._config = config
        self._generator = torch.Generator(rbm.weight.device).manual_seed(seed)
        self._velocity: Gradient | None = None
        self._steps = 0

    def step(self, data: Tensor) -> float:
        """Learn from a batch [n, V].

        Returns:
            the mean square error of its reconstruction, a unit.
        """
        config = self._config
        gradient, first = self.rbm.contrast(data, self._generator, config)
        rate = config.gaussian_learning_rate if self.rbm.gaussian else config.learning_rate
        momentum = config.momentum
        if self._steps < config.momentum_steps:
            momentum = config.first_momentum
        self._velocity = self._after(gradient, rate, momentum)
        self.rbm = self.rbm.moved(self._velocity)
        self._steps += 1
        return float((data - first).square().mean())

    def _after(self, gradient: Gradient, rate: float, momentum: float) -> Gradient:
        """The velocity after a batch's gradient."""
        weight = gradient.weight
        norm = float(weight.norm())
        if self._config.max_norm and norm > self._config.max_norm:
            weight = weight * (self._config.max_norm / norm)
        weight = weight - self._config.weight_decay * self.rbm.weight
        moves = Gradient(rate * weight, rate * gradient.visible_bias, rate * gradient.hidden_bias)
        if self._velocity is None:
            return moves
        old = self._velocity
        return Gradient(
            moves.weight + momentum * old.weight,
            moves.visible_bias + momentum * old.visible_bias,
            moves.hidden_bias + momentum * old.hidden_bias,
        )


def _drawn(probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """0 or 1 for each probability."""
    shape, device = probabilities.shape, probabilities.device
    random = torch.rand(shape, generator=generator, device=device, dtype=probabilities.dtype)
    return (random < probabilities).to(probabilities.dtype)
