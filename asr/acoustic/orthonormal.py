"""Keeping a matrix semi-orthogonal while it learns.

D. Povey et al., "Semi-orthogonal low-rank matrix factorization for deep neural networks",
Interspeech 2018; the step and its speed are those of ``ConstrainOrthonormal`` in Kaldi's
nnet3/nnet-utils.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SPEED = 0.125
"""ν of the paper: 1/8 is a Newton step, quadratic convergence near the constraint."""


@torch.no_grad()
def constrain_semi_orthogonal(weight: Tensor, scale: float = -1.0) -> None:
    """One step, in place, towards M Mᵀ = α² I (or Mᵀ M if M has more rows than columns).

    Args:
        weight: M, float [rows, columns].
        scale: α; negative: the α that changes M the least (√(tr PPᵀ / tr P), P = M Mᵀ).
    """
    matrix = weight if weight.shape[0] <= weight.shape[1] else weight.T
    product = matrix @ matrix.T
    speed = _SPEED
    trace = product.diagonal().sum()
    if scale < 0:
        trace_square = (product * product).sum()
        alpha2 = trace_square / trace
        # ≥ 1, with equality for equal singular values: far from it a whole step could diverge
        ratio = trace_square * len(product) / (trace * trace)
        if not bool(torch.isfinite(ratio)):
            return
        if ratio > 1.02:
            speed *= 0.5
            if ratio > 1.1:
                speed *= 0.5
    else:
        alpha2 = weight.new_tensor(scale * scale)
    product.diagonal().sub_(alpha2)
    matrix.sub_(4.0 * speed / alpha2 * (product @ matrix))


@torch.no_grad()
def orthonormality_error(weight: Tensor) -> float:
    """‖P − α² I‖ / ‖P‖ for the best α: 0 for a semi-orthogonal matrix times a scale."""
    matrix = weight if weight.shape[0] <= weight.shape[1] else weight.T
    product = (matrix @ matrix.T).double()
    alpha2 = product.diagonal().mean()
    rest = product - alpha2 * torch.eye(len(product), dtype=product.dtype, device=product.device)
    return float(rest.norm() / product.norm())
