"""LDA, MLLT and fMLLR, against scikit-learn, automatic differentiation and a general optimiser."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from asr.errors import DataError, UsageError
from asr.gmm.diag_gmm import DiagGmms
from asr.gmm.features import affine
from asr.gmm.fmllr import FmllrStatistics
from asr.gmm.lda import LdaStatistics
from asr.gmm.linear_statistics import precision_terms, weighted_moments
from asr.gmm.mllt import MlltStatistics, estimate, objective

DIM = 4


def gmms(seed: int = 0) -> DiagGmms:
    generator = np.random.default_rng(seed)
    begin = np.array([0, 2, 5], np.int64)
    weight = np.array([0.3, 0.7, 0.2, 0.5, 0.3])
    mean = 2.0 * generator.standard_normal((5, DIM))
    return DiagGmms(begin, weight, mean, generator.uniform(0.4, 2.0, (5, DIM)))


def frames(count: int = 1500, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Features that a rotation has mixed, and their pdfs."""
    generator = np.random.default_rng(seed)
    mixing = np.eye(DIM) + 0.4 * generator.standard_normal((DIM, DIM))
    pdfs = generator.integers(0, 2, count)
    features = generator.standard_normal((count, DIM)) @ mixing.T + pdfs[:, None]
    return features.astype(np.float32), pdfs


def posteriors(model: DiagGmms, features: np.ndarray, pdfs: np.ndarray) -> np.ndarray:
    """γ of each frame and Gaussian, float64 [T, G], straight from the definition."""
    scaled = (features[:, None].astype(np.float64) - model.mean) ** 2 / model.variance
    logs = np.log(model.weight) - 0.5 * (scaled + np.log(2 * np.pi * model.variance)).sum(axis=2)
    owner = np.repeat(np.arange(model.num_pdfs), np.diff(model.begin))
    logs[owner[None] != pdfs[:, None]] = -np.inf
    logs -= logs.max(axis=1, keepdims=True)
    return np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)


def test_lda_spans_the_same_space_as_scikit_learns():
    generator = np.random.default_rng(0)
    classes = generator.integers(0, 6, 3000)
    centres = 2.0 * generator.standard_normal((6, 8))
    mixing = generator.standard_normal((8, 8))
    features = (centres[classes] + generator.standard_normal((3000, 8))) @ mixing
    stats = LdaStatistics(6, 8)
    stats.add(features[:1000], classes[:1000])
    stats.add(features[1000:], classes[1000:])
    ours = stats.estimate(3)
    theirs = LinearDiscriminantAnalysis(solver="eigen").fit(features, classes).scalings_[:, :3].T
    for row, other in zip(ours, theirs, strict=True):
        cosine = row @ other / np.linalg.norm(row) / np.linalg.norm(other)
        assert abs(cosine) == pytest.approx(1.0, abs=1e-6)
    # frames of a class are white after it
    centred = features - np.stack([features[classes == c].mean(axis=0) for c in range(6)])[classes]
    within = (centred @ ours.T).T @ (centred @ ours.T) / len(features)
    np.testing.assert_allclose(within, np.eye(3), atol=1e-6)


def test_lda_of_too_little_is_refused():
    with pytest.raises(DataError, match="too few frames"):
        LdaStatistics(2, 8).estimate(3)
    with pytest.raises(UsageError, match="splice more"):
        LdaStatistics(2, 8).estimate(9)


def test_weighted_moments_are_sums_of_outer_products():
    features, _ = frames(300)
    weights = np.random.default_rng(2).uniform(0, 1, (300, 2)).astype(np.float32)
    expected = np.einsum("td,ti,tj->dij", weights, features, features)
    np.testing.assert_allclose(weighted_moments(weights, features), expected, rtol=1e-4, atol=1e-3)


def test_precision_terms_follow_their_definition():
    model, other = gmms(), gmms(3)
    features, pdfs = frames(200)
    gamma = posteriors(model, features, pdfs)
    precision, pull = precision_terms(model, features, pdfs, other)
    np.testing.assert_allclose(precision, gamma @ (1.0 / other.variance), rtol=1e-3)
    np.testing.assert_allclose(pull, gamma @ (other.mean / other.variance), rtol=2e-3, atol=2e-3)


def test_mllt_statistics_follow_their_definition():
    model = gmms()
    features, pdfs = frames(400)
    stats = MlltStatistics(model)
    stats.add(features, pdfs)
    off = features[:, None].astype(np.float64) - model.mean
    gamma = posteriors(model, features, pdfs)
    expected = np.einsum("tg,gi,tgj,tgk->ijk", gamma, 1.0 / model.variance, off, off)
    np.testing.assert_allclose(stats.moments(), expected, rtol=1e-3, atol=0.05)


def test_mllt_is_where_no_change_gains():
    features, pdfs = frames()
    stats = MlltStatistics(gmms())
    stats.add(features, pdfs)
    moments = stats.moments()
    matrix, gain = estimate(moments, stats.frames)
    assert gain > 0.05
    point = torch.tensor(matrix, requires_grad=True)
    quadratic = torch.einsum("ij,ijk,ik->", point, torch.tensor(moments), point)
    (stats.frames * torch.linalg.slogdet(point)[1] - 0.5 * quadratic).backward()
    assert point.grad.abs().max() < 1e-3 * stats.frames
    best = minimize(
        lambda flat: -objective(flat.reshape(DIM, DIM), moments, stats.frames),
        np.eye(DIM).ravel(), method="BFGS",
    )  # fmt: skip
    assert objective(matrix, moments, stats.frames) >= -best.fun - 1e-3 * stats.frames


def speaker(seed: int = 5) -> tuple[FmllrStatistics, np.ndarray, np.ndarray]:
    """Statistics of frames drawn from the model and then moved and stretched; the frames; pdfs."""
    generator = np.random.default_rng(seed)
    model = gmms()
    gaussian = generator.integers(0, 5, 4000)
    clean = model.mean[gaussian] + generator.standard_normal((4000, DIM)) * np.sqrt(
        model.variance[gaussian]
    )
    pdfs = (gaussian >= 2).astype(np.int64)
    moved = (clean @ np.diag([1.3, 0.8, 1.1, 1.0]) + [0.5, -1.0, 0.2, 0.0]).astype(np.float32)
    stats = FmllrStatistics(DIM)
    stats.add(moved, *precision_terms(model, moved, pdfs))
    return stats, moved, pdfs


def test_fmllr_is_where_no_change_gains():
    stats, _, _ = speaker()
    found = stats.estimate()
    assert stats.objective(found) > stats.objective(np.eye(DIM, DIM + 1)) + 100.0
    point = torch.tensor(found, requires_grad=True)
    quadratic = torch.einsum("ij,ijk,ik->", point, torch.tensor(stats.second), point)
    value = (
        stats.frames * torch.linalg.slogdet(point[:, :-1])[1]
        + (point * torch.tensor(stats.first)).sum()
        - 0.5 * quadratic
    )
    value.backward()
    assert point.grad.abs().max() < 1e-4 * stats.frames
    best = minimize(
        lambda flat: -stats.objective(flat.reshape(DIM, DIM + 1)),
        np.eye(DIM, DIM + 1).ravel(), method="BFGS",
    )  # fmt: skip
    assert stats.objective(found) >= -best.fun - 1e-2


def test_fmllr_fits_as_well_as_what_undoes_the_speaker():
    model = gmms()
    stats, moved, pdfs = speaker()
    transform = stats.estimate()
    for _ in range(10):  # posteriors of better features give a better transform
        stats = FmllrStatistics(DIM)
        stats.add(moved, *precision_terms(model, affine(moved, transform), pdfs))
        transform = stats.estimate(transform)

    def likelihood(matrix: np.ndarray) -> float:
        scores = model.loglikes(affine(moved, matrix))[np.arange(len(moved)), pdfs]
        return float(scores.mean()) + np.linalg.slogdet(matrix[:, :-1])[1]

    scale = np.array([1.3, 0.8, 1.1, 1.0])
    undone = np.column_stack([np.diag(1 / scale), -np.array([0.5, -1.0, 0.2, 0.0]) / scale])
    assert likelihood(transform) > likelihood(undone) - 0.02
    assert likelihood(transform) > likelihood(np.eye(DIM, DIM + 1)) + 0.05


def test_speakers_of_little_speech_are_left_alone():
    assert FmllrStatistics(DIM).estimate() is None
