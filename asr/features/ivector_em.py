"""The total variability matrix by EM (Kaldi's ivector/ivector-extractor.cc).

Given which Gaussian made which frame, frames are a linear Gaussian model of the i-vector w: those
of Gaussian g are N(M_g w, Σ_g), and w is N(p e₁, I): the prior's mean lies on the first axis, so
that M_g's first column, times p, is the Gaussian's mean. All that matters of an utterance are its
counts and sums by Gaussian; the exact likelihood of all frames is known and rises each iteration
(but for floored variances).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from asr.errors import UsageError

_ROWS = 256  # utterances whose posteriors are held at once
_SMALLEST = 1e-7  # floor on the variance of i-vectors over utterances


@dataclass(frozen=True, slots=True)
class TotalVariabilityConfig:
    """Options of the extractor's training; the defaults are Kaldi's but for ``ivector_dim``.

    Attributes:
        ivector_dim: S.
        iterations: of EM.
        min_count: a Gaussian with fewer frames (scaled) keeps its parameters.
        variance_floor: covariances are at least this part of their average.
        prior_offset: first mean of the prior; must not be 0.
        seed: of the first matrices.
    """

    ivector_dim: int = 60
    iterations: int = 10
    min_count: float = 100.0
    variance_floor: float = 0.1
    prior_offset: float = 100.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.ivector_dim < 2 or self.iterations < 0 or self.prior_offset <= 0:
            raise UsageError(
                "i-vectors need at least 2 dimensions, no negative number of iterations and a "
                "positive prior_offset"
            )
        if self.min_count <= 0 or not 0 <= self.variance_floor < 1:
            raise UsageError("min_count must be above 0, variance_floor at least 0 and below 1")


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Sums over all utterances, which stay the same while the extractor is trained.

    Attributes:
        counts: float64 [G], (scaled) frames of each Gaussian.
        sums: float64 [G, D].
        products: float64 [G, D, D], of frames with themselves.
    """

    counts: Tensor
    sums: Tensor
    products: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class TotalVariability:
    """The model: M float64 [G, D, S], Σ⁻¹ float64 [G, D, D], the prior's mean p."""

    projection: Tensor
    sigma_inv: Tensor
    prior_offset: float


@dataclass(slots=True, eq=False)
class _Expected:
    """What the E-step sums up over utterances."""

    second: Tensor  # [G, S (S + 1) / 2]: Σ count E[w wᵀ]
    cross: Tensor  # [G, D, S]: Σ sum E[w]ᵀ
    mean: Tensor  # [S]: Σ E[w]
    scatter: Tensor  # [S, S]: Σ E[w wᵀ]
    utterances: int
    likelihood: float  # what depends on w


def initial_model(moments: Moments, config: TotalVariabilityConfig) -> TotalVariability:
    """Means and covariances as they are under the posteriors; directions at random."""
    size = config.ivector_dim
    counts = moments.counts.clamp(min=config.min_count)
    everything = moments.products.sum(0) / moments.counts.sum()
    overall = moments.sums.sum(0) / moments.counts.sum()
    seen = (moments.counts >= config.min_count)[:, None]
    means = torch.where(seen, moments.sums / counts[:, None], overall)
    within = moments.products / counts[:, None, None] - _outer(means)
    average = everything - torch.outer(overall, overall)
    within = torch.where(seen[:, :, None], _floored(within, 0.1 * average), average)
    generator = torch.Generator().manual_seed(config.seed)
    noise = torch.randn(*means.shape, size, generator=generator, dtype=torch.float64)
    spread = within.diagonal(dim1=1, dim2=2).sqrt() / math.sqrt(size)
    projection = noise.to(means.device) * spread[:, :, None]
    projection[:, :, 0] = means / config.prior_offset
    return TotalVariability(projection, torch.linalg.inv(within), config.prior_offset)


def em_step(
    model: TotalVariability,
    moments: Moments,
    statistics: Iterable[tuple[Tensor, Tensor]],
    config: TotalVariabilityConfig,
) -> tuple[TotalVariability, float]:
    """One iteration of EM.

    Args:
        model: to be made better.
        moments: over all utterances.
        statistics: counts [U, G] and sums [U, G, D] of utterances, some at a time.
        config: options.

    Returns:
        the better model, and the log-likelihood of a (scaled) frame by the one that was given.
    """
    expected = _e_step(model, statistics)
    likelihood = (expected.likelihood + _fixed_part(model, moments)) / float(moments.counts.sum())
    size = config.ivector_dim
    trained = moments.counts >= config.min_count
    second = _unpacked(expected.second, size)
    identity = torch.eye(size, dtype=second.dtype, device=second.device)
    safe = torch.where(trained[:, None, None], second, identity)
    solved = torch.linalg.solve(safe, expected.cross.transpose(1, 2)).transpose(1, 2)
    projection = torch.where(trained[:, None, None], solved, model.projection)
    sigma = _covariances(projection, second, expected.cross, moments, trained, config)
    sigma_inv = torch.where(trained[:, None, None], torch.linalg.inv(sigma), model.sigma_inv)
    better = TotalVariability(projection, _symmetric(sigma_inv), model.prior_offset)
    better = _with_new_prior(better, expected)
    return _ordered(better, moments.counts), likelihood


def log_likelihood(
    model: TotalVariability, moments: Moments, statistics: Iterable[tuple[Tensor, Tensor]]
) -> float:
    """Of a (scaled) frame, exact for the given posteriors; what :func:`em_step` makes greater."""
    variable = _e_step(model, statistics).likelihood
    return (variable + _fixed_part(model, moments)) / float(moments.counts.sum())


def _e_step(model: TotalVariability, statistics: Iterable[tuple[Tensor, Tensor]]) -> _Expected:
    gaussians, dim, size = model.projection.shape
    weighted = model.sigma_inv @ model.projection  # Σ⁻¹ M
    quadratic = _packed(model.projection.transpose(1, 2) @ weighted)
    linear = weighted.flatten(0, 1)
    out = _Expected(
        torch.zeros_like(quadratic),
        torch.zeros_like(model.projection),
        linear.new_zeros(size),
        linear.new_zeros(size, size),
        utterances=0,
        likelihood=0.0,
    )
    for many_counts, many_sums in statistics:
        pieces = zip(many_counts.split(_ROWS), many_sums.split(_ROWS), strict=True)
        for counts, sums in ((c.to(linear), s.to(linear).flatten(1)) for c, s in pieces):
            precision = _unpacked(counts @ quadratic, size)
            precision.diagonal(dim1=1, dim2=2).add_(1.0)
            right = sums @ linear
            right[:, 0] += model.prior_offset
            factor = torch.linalg.cholesky(precision)
            mean = torch.cholesky_solve(right[:, :, None], factor)[:, :, 0]
            moment = torch.cholesky_inverse(factor) + _outer(mean)
            # log ∫ N(w; p e₁, I) exp(linear − quadratic / 2) dw
            log_det = 2.0 * factor.diagonal(dim1=1, dim2=2).log().sum()
            out.likelihood += 0.5 * float((right * mean).sum() - log_det)
            out.likelihood -= 0.5 * len(counts) * model.prior_offset**2
            out.second += counts.T @ _packed(moment)
            out.cross += (sums.T @ mean).view(gaussians, dim, size)
            out.mean += mean.sum(0)
            out.scatter += moment.sum(0)
            out.utterances += len(counts)
    return out


def _fixed_part(model: TotalVariability, moments: Moments) -> float:
    """Of the log-likelihood: what does not depend on w."""
    dim = moments.sums.shape[1]
    log_dets = torch.linalg.slogdet(model.sigma_inv).logabsdet
    inner = moments.counts * (log_dets - dim * math.log(2.0 * math.pi))
    return 0.5 * float(inner.sum() - (model.sigma_inv * moments.products).sum())


def _covariances(
    projection: Tensor,
    second: Tensor,
    cross: Tensor,
    moments: Moments,
    trained: Tensor,
    config: TotalVariabilityConfig,
) -> Tensor:
    """Of what M does not explain, floored (IvectorExtractorStats::UpdateVariances)."""
    mixed = cross @ projection.transpose(1, 2)
    explained = projection @ second @ projection.transpose(1, 2)
    rest = moments.products - mixed - mixed.transpose(1, 2) + explained
    used = moments.counts * trained
    floor = config.variance_floor * (rest * trained[:, None, None]).sum(0) / used.sum().clamp(min=1)
    sigma = rest / moments.counts.clamp(min=config.min_count)[:, None, None]
    identity = torch.eye(sigma.shape[1], dtype=sigma.dtype, device=sigma.device)
    sigma = torch.where(trained[:, None, None], _symmetric(sigma), identity)
    return _floored(sigma, _symmetric(floor)) if config.variance_floor > 0 else sigma


def _floored(matrices: Tensor, floor: Tensor) -> Tensor:
    """Matrices [G, D, D] that exceed ``floor`` [D, D] in every direction (SpMatrix::ApplyFloor)."""
    if not bool(floor.diagonal().sum() > 0):
        return matrices
    factor = torch.linalg.cholesky(floor)
    left = torch.linalg.solve_triangular(factor, matrices, upper=False)
    whitened = torch.linalg.solve_triangular(factor, left.transpose(1, 2), upper=False)
    values, vectors = torch.linalg.eigh(_symmetric(whitened))
    if bool((values >= 1.0).all()):
        return matrices
    floored = (vectors * values.clamp(min=1.0)[:, None, :]) @ vectors.transpose(1, 2)
    return _symmetric(factor @ floored @ factor.T)


def _with_new_prior(model: TotalVariability, expected: _Expected) -> TotalVariability:
    """The i-vectors' space changed so that over utterances they have mean p e₁ and variance 1.

    IvectorExtractorStats::UpdatePrior; "minimum divergence" in Kenny's terms.
    """
    mean = expected.mean / expected.utterances
    covariance = _symmetric(expected.scatter / expected.utterances - torch.outer(mean, mean))
    values, vectors = torch.linalg.eigh(covariance)
    values = values.clamp(min=_SMALLEST)
    whitening = (vectors * values.rsqrt()).T
    colouring = vectors * values.sqrt()
    whitened = whitening @ mean
    offset = float(whitened.norm())
    reflection = _reflection(whitened / offset)
    projection = model.projection @ colouring @ reflection.T
    return replace(model, projection=projection, prior_offset=offset)


def _reflection(direction: Tensor) -> Tensor:
    """The Householder reflection that takes a unit vector to the first axis: [S, S]."""
    normal = direction.clone()
    normal[0] -= 1.0
    identity = torch.eye(len(direction), dtype=direction.dtype, device=direction.device)
    square = float(normal.square().sum())
    if square < 1e-30:
        return identity
    return identity - 2.0 / square * torch.outer(normal, normal)


def _ordered(model: TotalVariability, counts: Tensor) -> TotalVariability:
    """The axes but the first turned so that those that explain most come first.

    A rotation that changes no likelihood (Kaldi's ``diagonalize``).
    """
    projection = model.projection
    weighted = counts[:, None, None] * (model.sigma_inv @ projection)
    average = (projection.flatten(0, 1).T @ weighted.flatten(0, 1)) / counts.sum()
    _, vectors = torch.linalg.eigh(_symmetric(average)[1:, 1:])
    vectors = vectors.flip(1)
    signs = vectors.gather(0, vectors.abs().argmax(dim=0, keepdim=True)).sign()
    turned = projection[:, :, 1:] @ (vectors * signs)
    return replace(model, projection=torch.cat([projection[:, :, :1], turned], dim=2))


def _outer(vectors: Tensor) -> Tensor:
    """[N, D] → [N, D, D]"""
    return vectors[:, :, None] * vectors[:, None, :]


def _symmetric(matrices: Tensor) -> Tensor:
    return 0.5 * (matrices + matrices.transpose(-1, -2))


def _packed(matrices: Tensor) -> Tensor:
    """The lower halves of symmetric matrices: [N, S, S] → [N, S (S + 1) / 2]."""
    rows, columns = torch.tril_indices(*matrices.shape[1:], device=matrices.device)
    return matrices[:, rows, columns]


def _unpacked(packed: Tensor, size: int) -> Tensor:
    """Inverse of :func:`_packed`, both halves."""
    rows, columns = torch.tril_indices(size, size, device=packed.device)
    out = packed.new_zeros(len(packed), size, size)
    out[:, rows, columns] = packed
    out[:, columns, rows] = packed
    return out
