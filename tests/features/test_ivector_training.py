"""Training of i-vector extractors: against scipy's Gaussians, sklearn's EM, PCA and LDA, and by
finding again what synthetic speech was drawn from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from scipy.stats import multivariate_normal
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.mixture import GaussianMixture

from asr.errors import AudioError, DataError, UsageError
from asr.features.ivector import IvectorConfig, IvectorExtractor
from asr.features.ivector_em import (
    Moments,
    TotalVariability,
    TotalVariabilityConfig,
    em_step,
    initial_model,
    log_likelihood,
)
from asr.features.ivector_training import IvectorTrainingConfig, Speech, train_ivectors
from asr.features.ivector_transform import SecondMoments
from asr.features.ivector_ubm import DiagonalGmm, UbmConfig, train_ubm
from asr.features.ivector_ubm import em_step as ubm_step

GAUSSIANS, DIM, SIZE = 5, 3, 3


def blobs(frames: int, dim: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    centres = 3.0 * torch.randn(6, dim, generator=generator, dtype=torch.float64)
    which = torch.randint(6, (frames,), generator=generator)
    return centres[which] + torch.randn(frames, dim, generator=generator, dtype=torch.float64)


def test_background_model_takes_sklearns_step() -> None:
    frames = blobs(3000, 4, 1)
    config = UbmConfig(num_gaussians=7, variance_floor=1e-6, min_count=1e-3)
    gmm = train_ubm(frames, replace(config, iterations=3))
    better, likelihood = ubm_step(gmm, frames, config)
    oracle = GaussianMixture(
        7,
        covariance_type="diag",
        reg_covar=0.0,
        max_iter=1,
        weights_init=gmm.weights.numpy(),
        means_init=gmm.means.numpy(),
        precisions_init=1.0 / gmm.variances.numpy(),
    )
    with pytest.warns(UserWarning, match="did not converge"):
        oracle.fit(frames.numpy())
    np.testing.assert_allclose(better.weights, oracle.weights_, rtol=1e-6)
    np.testing.assert_allclose(better.means, oracle.means_, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(better.variances, oracle.covariances_, rtol=1e-6)
    np.testing.assert_allclose(likelihood, oracle.lower_bounds_[0], rtol=1e-6)


def test_background_model_gets_better_every_time() -> None:
    frames = blobs(4000, 5, 2).float()
    seen: list[float] = []
    train_ubm(frames, UbmConfig(num_gaussians=16), after=lambda gmm, i, value: seen.append(value))
    assert len(seen) == 20 and np.all(np.diff(seen) > -1e-5) and seen[-1] > seen[0] + 0.5


def test_a_gaussian_that_no_frame_wants_stays_finite() -> None:
    frames = blobs(500, 2, 3)
    far = torch.tensor([[0.0, 0.0], [1e4, 1e4]], dtype=torch.float64)
    gmm = DiagonalGmm(torch.tensor([0.5, 0.5], dtype=torch.float64), far, torch.ones_like(far))
    better, _ = ubm_step(gmm, frames, UbmConfig(num_gaussians=2))
    assert better.means[1].tolist() == [1e4, 1e4] and bool(better.gconsts.isfinite().all())


def test_pca_is_sklearns() -> None:
    frames = blobs(2000, 6, 4) @ torch.randn(6, 6, dtype=torch.float64, generator=_seeded(4))
    moments = SecondMoments(6)
    for piece in frames.split(700):
        moments.add(piece)
    rows = moments.pca(3)
    oracle = PCA(3, whiten=True).fit(frames.numpy())
    expected = oracle.components_ / np.sqrt(oracle.explained_variance_)[:, None]
    signs = np.sign((expected * rows.numpy()).sum(1, keepdims=True))
    np.testing.assert_allclose(rows, signs * expected, rtol=1e-3)


def test_lda_finds_sklearns_directions() -> None:
    generator = _seeded(5)
    labels = torch.randint(8, (4000,), generator=generator)
    mixing = torch.randn(6, 6, dtype=torch.float64, generator=generator)
    centres = torch.randn(8, 6, dtype=torch.float64, generator=generator)
    noise = torch.randn(4000, 6, dtype=torch.float64, generator=generator)
    frames = (centres[labels] + noise) @ mixing
    moments = SecondMoments(6)
    moments.add(
        torch.cat([frames, 100.0 + frames[:50]]), torch.cat([labels, -torch.ones(50).long()])
    )
    rows = moments.lda(4).numpy()
    oracle = LinearDiscriminantAnalysis(solver="eigen").fit(frames.numpy(), labels.numpy())
    expected = oracle.scalings_[:, :4].T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    cosines = (rows / np.linalg.norm(rows, axis=1, keepdims=True) * expected).sum(1)
    np.testing.assert_allclose(np.abs(cosines), 1.0, atol=1e-6)
    projected = frames.numpy() @ rows.T
    within = sum(np.cov(projected[labels.numpy() == k].T) for k in range(8)) / 8
    np.testing.assert_allclose(within, np.eye(4), atol=0.05)
    with pytest.raises(DataError, match="8 labels"):
        moments.lda(8)


class Drawn:
    """Utterances drawn from a total variability model, with known posteriors of 1."""

    def __init__(self, utterances: int, frames: int, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.projection = rng.normal(size=(GAUSSIANS, DIM, SIZE))
        self.projection[:, :, 0] = rng.normal(size=(GAUSSIANS, DIM)) / 2
        roots = rng.normal(size=(GAUSSIANS, DIM, DIM)) / 2
        self.sigma = roots @ roots.transpose(0, 2, 1) + 0.2 * np.eye(DIM)
        self.offset = 7.0
        self.which = rng.integers(GAUSSIANS, size=(utterances, frames))
        w = rng.normal(size=(utterances, SIZE))
        w[:, 0] += self.offset
        noise = np.linalg.cholesky(self.sigma)[self.which] @ rng.normal(
            size=(utterances, frames, DIM, 1)
        )
        self.frames = np.einsum("utds,us->utd", self.projection[self.which], w) + noise[..., 0]

    def statistics(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        ones = np.eye(GAUSSIANS)[self.which]
        sums = np.einsum("utg,utd->ugd", ones, self.frames)
        return [(torch.from_numpy(ones.sum(1)), torch.from_numpy(sums))]

    def moments(self) -> Moments:
        ones = np.eye(GAUSSIANS)[self.which]
        ((counts, sums),) = self.statistics()
        products = np.einsum("utg,utd,ute->gde", ones, self.frames, self.frames)
        return Moments(counts.sum(0), sums.sum(0), torch.from_numpy(products))

    def model(self) -> TotalVariability:
        arrays = torch.from_numpy(self.projection), torch.from_numpy(np.linalg.inv(self.sigma))
        return TotalVariability(*arrays, self.offset)


CONFIG = TotalVariabilityConfig(SIZE, min_count=1.0, variance_floor=1e-6)


def test_likelihood_is_that_of_one_big_gaussian() -> None:
    drawn = Drawn(utterances=4, frames=9)
    total = 0.0
    for which, frames in zip(drawn.which, drawn.frames, strict=True):
        loading = drawn.projection[which].reshape(-1, SIZE)
        covariance = loading @ loading.T
        for t, gaussian in enumerate(which):
            block = slice(t * DIM, (t + 1) * DIM)
            covariance[block, block] += drawn.sigma[gaussian]
        total += multivariate_normal(drawn.offset * loading[:, 0], covariance).logpdf(
            frames.ravel()
        )
    value = log_likelihood(drawn.model(), drawn.moments(), drawn.statistics())
    np.testing.assert_allclose(value, total / drawn.which.size, rtol=1e-9)


def test_each_iteration_makes_the_speech_likelier_up_to_the_truth() -> None:
    drawn = Drawn(utterances=400, frames=60, seed=1)
    moments, statistics = drawn.moments(), drawn.statistics()
    model = initial_model(moments, CONFIG)
    values = []
    for _ in range(60):
        model, value = em_step(model, moments, statistics, CONFIG)
        values.append(value)
    assert np.all(np.diff(values) > -1e-9), np.diff(values).min()
    truth = log_likelihood(drawn.model(), moments, statistics)
    assert (
        truth < values[-1] < truth + 0.02
    )  # the best fit to a sample beats what it was drawn from
    angles = subspace_angles(
        model.projection.numpy().reshape(-1, SIZE), drawn.projection.reshape(-1, SIZE)
    )
    assert np.degrees(angles).max() < 3.0, np.degrees(angles)
    sigma = np.linalg.inv(model.sigma_inv.numpy())
    np.testing.assert_allclose(sigma, drawn.sigma, atol=0.08)


def test_ivectors_have_the_priors_mean_and_variance_on_the_training_set() -> None:
    drawn = Drawn(utterances=300, frames=80, seed=2)
    moments, statistics = drawn.moments(), drawn.statistics()
    model = initial_model(moments, CONFIG)
    for _ in range(40):
        model, _ = em_step(model, moments, statistics, CONFIG)
    ((counts, sums),) = statistics
    weighted = model.sigma_inv @ model.projection
    precision = torch.einsum("ug,gds,gdr->usr", counts, model.projection, weighted)
    covariance = torch.linalg.inv(precision + torch.eye(SIZE, dtype=torch.float64))
    right = torch.einsum("ugd,gds->us", sums, weighted)
    right[:, 0] += model.prior_offset
    means = (covariance @ right[:, :, None])[:, :, 0]
    offset = means.mean(0)
    np.testing.assert_allclose(offset, [model.prior_offset, 0, 0], atol=0.02)
    spread = np.cov(means.T.numpy(), bias=True) + covariance.mean(0).numpy()
    np.testing.assert_allclose(spread, np.eye(SIZE), atol=0.02)


def test_floored_covariances_are_never_flatter_than_the_floor() -> None:
    drawn = Drawn(utterances=50, frames=40, seed=3)
    drawn.frames[..., 2] = np.where(drawn.which == 0, 0.5, drawn.frames[..., 2])
    moments, statistics = drawn.moments(), drawn.statistics()
    config = replace(CONFIG, variance_floor=0.1)
    model, _ = em_step(initial_model(moments, config), moments, statistics, config)
    values = np.linalg.eigvalsh(np.linalg.inv(model.sigma_inv.numpy()))
    assert values.min() > 0.005 and bool(torch.isfinite(model.projection).all())


TRAINING = IvectorTrainingConfig(
    extraction=IvectorConfig(
        num_gselect=3, splice_left=1, splice_right=1, cmn_window=50, global_frames=20
    ),
    ubm=UbmConfig(num_gaussians=8, iterations=4, max_frames=2000),
    extractor=TotalVariabilityConfig(ivector_dim=4, iterations=4, min_count=5.0),
    feature_dim=6,
    moment_frames=3000,
)


def fake_speech(utterances: int = 40, speakers: int = 8) -> Speech:
    """Each speaker shifts all sounds by a constant of their own."""
    shifts = 1.5 * torch.randn(speakers, 5, generator=_seeded(9))

    def mfcc(name: str) -> torch.Tensor:
        number = int(name[1:])
        generator = _seeded(100 + number)
        sounds = 3.0 * torch.randn(6, 5, generator=_seeded(8))
        which = torch.randint(6, (60 + number,), generator=generator)
        frames = sounds[which] + torch.randn(60 + number, 5, generator=generator)
        smooth = frames + 0.7 * frames.roll(1, 0)
        return smooth + 10.0 + shifts[number % speakers]

    return Speech(tuple(f"u{n}" for n in range(utterances)), mfcc)


def test_trained_extractor_tells_speakers_apart_and_equals_the_formulas(tmp_path: Path) -> None:
    speech = fake_speech()
    params = train_ivectors(speech, tmp_path, TRAINING)
    params.validate(TRAINING.extraction)
    extractor = IvectorExtractor(params, TRAINING.extraction)
    vectors = np.stack([extractor.extract(speech.mfcc(name)).numpy() for name in speech.ids])
    vectors -= vectors.mean(0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    speaker = np.arange(len(vectors)) % 8
    cosines = vectors @ vectors.T
    same = (speaker[:, None] == speaker) & ~np.eye(len(vectors), dtype=bool)
    assert cosines[same].mean() > 0.8 and cosines[speaker[:, None] != speaker].mean() < 0.1
    stream = extractor.stream()
    pieces = [*stream.project(speech.mfcc("u3")), stream.project_rest()]
    raw, normalised = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    post = extractor.posteriors(normalised).double().numpy()
    m, inv = params.projection.astype(np.float64), params.sigma_inv.astype(np.float64)
    precision = np.eye(4) + np.einsum("tg,gds,gde,ger->sr", post, m, inv, m)
    right = np.einsum("tg,gds,gde,te->s", post, m, inv, raw.double().numpy())
    right[0] += params.prior_offset[0]
    expected = np.linalg.solve(precision, right)
    expected[0] -= params.prior_offset[0]
    np.testing.assert_allclose(extractor.extract(speech.mfcc("u3")), expected, atol=2e-3)


@pytest.mark.parametrize("stop", ["sampling", "background model 2", "counting", "variability 2"])
def test_what_was_stopped_goes_on_to_the_same_model(tmp_path: Path, stop: str) -> None:
    class Killed(Exception):
        pass

    def killer(fraction: float, message: str) -> None:
        if stop in message:
            raise Killed

    whole = train_ivectors(fake_speech(), tmp_path / "whole", TRAINING)
    with pytest.raises(Killed):
        train_ivectors(fake_speech(), tmp_path / "stopped", TRAINING, killer)
    resumed = train_ivectors(fake_speech(), tmp_path / "stopped", TRAINING)
    for name, array in whole.to_tensors().items():
        assert np.array_equal(array, resumed.to_tensors()[name]), name


@pytest.mark.parametrize("stop", ["background model 2", "variability 2"])
def test_damaged_work_is_told_of(tmp_path: Path, stop: str) -> None:
    """Every file that a killed training left, with one bit changed."""

    class Killed(Exception):
        pass

    def killer(fraction: float, message: str) -> None:
        if stop in message:
            raise Killed

    with pytest.raises(Killed):
        train_ivectors(fake_speech(), tmp_path / "stopped", TRAINING, killer)
    told = 0
    for path in sorted((tmp_path / "stopped").rglob("*.safetensors")):
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        try:
            train_ivectors(fake_speech(), tmp_path / "stopped", TRAINING, killer)
        except DataError as error:
            assert "checksum differs" in str(error) and "delete" in str(error)
            told += 1
        except Killed:  # what is left does not read this file any more
            pass
        path.write_bytes(content)
    assert told >= 2


def test_labels_give_another_projection(tmp_path: Path) -> None:
    plain = fake_speech()
    labelled = replace(plain, labels=lambda name: torch.arange(len(plain.mfcc(name))) % 9)
    with_labels = train_ivectors(labelled, tmp_path / "lda", TRAINING)
    without = train_ivectors(plain, tmp_path / "pca", TRAINING)
    assert with_labels.lda.shape == without.lda.shape == (6, 15)
    assert not np.allclose(with_labels.lda, without.lda)

    def some(name: str) -> torch.Tensor:
        if name < "u2":
            raise DataError("not aligned")
        return torch.arange(len(plain.mfcc(name))) % 9

    fewer = train_ivectors(replace(plain, labels=some), tmp_path / "fewer", TRAINING)
    assert np.array_equal(fewer.global_cmvn, without.global_cmvn)  # they count for all else
    assert not np.allclose(fewer.lda, with_labels.lda)
    short = replace(plain, labels=lambda name: torch.zeros(3, dtype=torch.int64))
    with pytest.raises(DataError, match="u0 has 3 labels for 60 frames"):
        train_ivectors(short, tmp_path / "short", TRAINING)


def test_progress_rises_and_tells_the_likelihood(tmp_path: Path) -> None:
    reports: list[tuple[float, str]] = []
    train_ivectors(fake_speech(), tmp_path, TRAINING, lambda f, m: reports.append((f, m)))
    fractions = [fraction for fraction, _ in reports]
    assert fractions == sorted(fractions) and fractions[0] == 0.0 and fractions[-1] == 1.0
    values = [float(m.rsplit(" ", 1)[1]) for _, m in reports if m.startswith("total variability")]
    assert len(values) == 4 and values == sorted(values)


def test_bad_utterances_are_left_out_and_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    good = fake_speech()

    def mfcc(name: str) -> torch.Tensor:
        if name in ("u4", "u5"):
            raise AudioError(f"{name} holds no sound")
        return good.mfcc(name)

    some = train_ivectors(Speech(good.ids, mfcc), tmp_path / "some", TRAINING)
    assert "2 of 40 utterances were left out; the first is u4: u4 holds no sound" in caplog.text
    kept = tuple(name for name in good.ids if name not in ("u4", "u5"))
    without = train_ivectors(Speech(kept, good.mfcc), tmp_path / "without", TRAINING)
    assert np.array_equal(some.projection, without.projection)
    with pytest.raises(DataError, match="none of the 1 utterances can be used; the first: u4"):
        train_ivectors(Speech(("u4",), mfcc), tmp_path / "none", TRAINING)


def test_refusals(tmp_path: Path) -> None:
    train_ivectors(fake_speech(), tmp_path, TRAINING)
    with pytest.raises(DataError, match="other options"):
        train_ivectors(fake_speech(), tmp_path, replace(TRAINING, feature_dim=5))
    with pytest.raises(DataError, match="other speech"):
        train_ivectors(fake_speech(39), tmp_path, TRAINING)
    with pytest.raises(DataError, match="too few for 300 Gaussians"):
        many = replace(TRAINING, ubm=UbmConfig(num_gaussians=300))
        train_ivectors(fake_speech(2), tmp_path / "few", many)
    with pytest.raises(DataError, match="no speech"):
        train_ivectors(Speech((), fake_speech().mfcc), tmp_path / "empty", TRAINING)
    for config, options in (
        (UbmConfig, {"num_gaussians": 0}),
        (TotalVariabilityConfig, {"ivector_dim": 1}),
    ):
        with pytest.raises(UsageError):
            config(**options)


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
