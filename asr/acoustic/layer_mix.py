"""A learned weighted mean of an encoder's layers.

M. Peters et al., "Deep contextualized word representations" (ELMo), 2018; S. Yang et al., "SUPERB:
Speech processing universal performance benchmark", 2021: the weights are the softmax of one number
a layer.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

LAST = 0.9
"""Weight of the last layer at first, where an encoder's own blocks come next, which know it."""


class LayerMix(nn.Module):
    """Σ softmax(logits)_i · state_i.

    Args:
        states: how many are mixed, 2 or more.
        even: begin with the same weight for each; else the last has ``LAST``.
    """

    def __init__(self, states: int, even: bool = True) -> None:
        super().__init__()
        logits = torch.zeros(states)
        if not even:
            logits[-1] = math.log(LAST / (1.0 - LAST) * (states - 1))
        self.logits = nn.Parameter(logits)

    @property
    def weights(self) -> Tensor:
        """Of each state, the last layer's last: float32 [states]; they sum to one."""
        return self.logits.softmax(0)

    def forward(self, feats: Tensor) -> Tensor:
        """States side by side, float32 [B, T, states · dim], to their mean [B, T, dim]."""
        states = feats.unflatten(2, (len(self.logits), -1))
        return torch.einsum("btsd,s->btd", states, self.weights.to(feats.dtype))
