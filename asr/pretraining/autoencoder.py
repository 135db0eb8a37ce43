"""Denoising autoencoders: a layer that restores its input from a damaged copy.

P. Vincent et al., "Stacked denoising autoencoders" (JMLR 11, 2010). Encoder and decoder share their
weights. Real-valued inputs are damaged by Gaussian noise and restored in the least squares sense;
activations, which lie between 0 and 1, by setting some to 0, and restored by cross-entropy.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from asr.errors import UsageError


@dataclass(frozen=True, slots=True)
class AutoencoderConfig:
    """Options.

    Attributes:
        learning_rate: of Adam.
        noise: deviation of the noise on real-valued inputs.
        dropped: part of the activations that is set to 0.
    """

    learning_rate: float = 1e-3
    noise: float = 0.5
    dropped: float = 0.2

    def __post_init__(self) -> None:
        if self.learning_rate <= 0 or self.noise < 0 or not 0 <= self.dropped < 1:
            raise UsageError(
                "a denoising autoencoder needs learning_rate > 0, noise >= 0 and 0 <= dropped < 1"
            )


class AutoencoderTrainer:
    """Trains one layer batch by batch.

    Args:
        visible, hidden: widths.
        gaussian: inputs are real-valued, not activations.
        config: options.
        seed: of the weights and the damage.
        device: where to compute.
    """

    def __init__(
        self,
        visible: int,
        hidden: int,
        gaussian: bool,
        config: AutoencoderConfig,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        weight = torch.randn(hidden, visible, generator=generator) * visible**-0.5
        self.weight = weight.to(device).requires_grad_()
        self.bias = torch.zeros(hidden, device=device, requires_grad=True)
        self._visible_bias = torch.zeros(visible, device=device, requires_grad=True)
        self._gaussian = gaussian
        self._config = config
        self._generator = torch.Generator(device).manual_seed(seed)
        parameters = [self.weight, self.bias, self._visible_bias]
        self._optimizer = torch.optim.Adam(parameters, lr=config.learning_rate)

    def loss(self, data: Tensor) -> tuple[Tensor, float]:
        """Of restoring a batch [n, V] from a damaged copy.

        Returns:
            the loss, a mean over the batch, and the mean square error of a unit.
        """
        hidden = torch.sigmoid(functional.linear(self._damaged(data), self.weight, self.bias))
        restored = torch.addmm(self._visible_bias, hidden, self.weight)
        if self._gaussian:
            square = (restored - data).square()
            return 0.5 * square.sum(dim=1).mean(), float(square.detach().mean())
        loss = functional.binary_cross_entropy_with_logits(restored, data, reduction="none")
        error = (torch.sigmoid(restored.detach()) - data).square().mean()
        return loss.sum(dim=1).mean(), float(error)

    def step(self, data: Tensor) -> float:
        """Learn from a batch [n, V]; returns the mean square error of a unit."""
        loss, error = self.loss(data)
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()
        return error

    def _damaged(self, data: Tensor) -> Tensor:
        make = torch.randn if self._gaussian else torch.rand
        random = make(data.shape, generator=self._generator, device=data.device, dtype=data.dtype)
        if self._gaussian:
            return data + self._config.noise * random
        return data * (random >= self._config.dropped)
