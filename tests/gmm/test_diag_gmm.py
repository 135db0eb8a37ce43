"""Mixtures, their statistics and their update, equal to Kaldi's."""

import numpy as np
import pytest

from asr.errors import ModelError
from asr.gmm.diag_gmm import DiagGmms
from asr.gmm.estimation import SplitConfig, Statistics, UpdateConfig, split, split_targets, updated

DIM, COUNTS = 5, (3, 1, 4)
ALL_FLAGS = 15


def model(seed: int = 0) -> DiagGmms:
    generator = np.random.default_rng(seed)
    begin = np.concatenate([[0], np.cumsum(COUNTS)]).astype(np.int64)
    weight = np.concatenate([generator.dirichlet(np.ones(n)) for n in COUNTS])
    mean = 2.0 * generator.standard_normal((begin[-1], DIM))
    return DiagGmms(begin, weight, mean, generator.uniform(0.3, 2.0, (begin[-1], DIM)))


def frames(count: int = 400, seed: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    features = (2.0 * generator.standard_normal((count, DIM))).astype(np.float32)
    weights = generator.uniform(0.1, 1.0, count).astype(np.float32)
    return features, generator.integers(0, len(COUNTS), count), weights


def to_kaldi(khg, gmms: DiagGmms):
    theirs = khg.AmDiagGmm()
    for pdf in range(gmms.num_pdfs):
        here = slice(gmms.begin[pdf], gmms.begin[pdf + 1])
        one = khg.DiagGmm(int(here.stop - here.start), gmms.dim)
        one.set_weights(gmms.weight[here].astype(np.float32))
        one.set_invvars_and_means(
            (1.0 / gmms.variance[here]).astype(np.float32), gmms.mean[here].astype(np.float32)
        )
        one.compute_gconsts()
        theirs.add_pdf(one)
    theirs.compute_gconsts()
    return theirs


def test_log_likelihoods_are_kaldis():
    khg = pytest.importorskip("kaldi_hmm_gmm")
    gmms = model()
    theirs = to_kaldi(khg, gmms)
    features, _, _ = frames(30)
    expected = [[theirs.log_likelihood(p, row) for p in range(gmms.num_pdfs)] for row in features]
    np.testing.assert_allclose(gmms.loglikes(features), expected, rtol=1e-5, atol=1e-4)
    chosen = np.array([2, 0])
    np.testing.assert_allclose(
        gmms.loglikes(features, chosen), np.array(expected)[:, chosen], rtol=1e-5, atol=1e-4
    )


def test_statistics_and_update_are_kaldis():
    khg = pytest.importorskip("kaldi_hmm_gmm")
    gmms = model()
    theirs = to_kaldi(khg, gmms)
    collected = khg.AccumAmDiagGmm()
    collected.init(theirs, ALL_FLAGS)
    features, pdfs, weights = frames()
    for row, pdf, weight in zip(features, pdfs.tolist(), weights.tolist(), strict=True):
        collected.accumulate_for_gmm(theirs, row, pdf, weight)
    stats = Statistics.empty(gmms)
    stats.add(gmms, features, pdfs, weights)
    assert stats.loglike == pytest.approx(collected.tot_log_like, rel=1e-5)
    for pdf in range(gmms.num_pdfs):
        acc = collected.get_acc(pdf)
        here = slice(gmms.begin[pdf], gmms.begin[pdf + 1])
        np.testing.assert_allclose(stats.occupancy[here], acc.occupancy, rtol=1e-4)
        np.testing.assert_allclose(stats.sums[here], acc.mean_accumulator, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(
            stats.squares[here], acc.variance_accumulator, rtol=1e-3, atol=1e-3
        )
    # enough for some Gaussians of pdf 2 only, so that others are removed
    config = UpdateConfig(min_occupancy=float(np.median(stats.occupancy[gmms.begin[2] :])))
    options = khg.MleDiagGmmOptions(min_gaussian_occupancy=config.min_occupancy)
    khg.mle_am_diag_gmm_update(options, collected, ALL_FLAGS, theirs)
    ours = updated(gmms, stats, config)
    assert ours.num_gaussians == theirs.num_gauss < gmms.num_gaussians
    for pdf in range(gmms.num_pdfs):
        one = theirs.get_pdf(pdf)
        here = slice(ours.begin[pdf], ours.begin[pdf + 1])
        np.testing.assert_allclose(ours.weight[here], one.weights, rtol=1e-4)
        np.testing.assert_allclose(1.0 / ours.variance[here], one.inv_vars, rtol=2e-3)
        np.testing.assert_allclose(
            ours.mean[here] / ours.variance[here], one.means_invvars, rtol=2e-3, atol=2e-3
        )


def test_sums_may_be_of_other_features_than_posteriors():
    khg = pytest.importorskip("kaldi_hmm_gmm")
    gmms = model()
    theirs = to_kaldi(khg, gmms)
    collected = khg.AccumAmDiagGmm()
    collected.init(theirs, ALL_FLAGS)
    features, pdfs, weights = frames()
    others = features[::-1].copy()
    for row, other, pdf, weight in zip(features, others, pdfs.tolist(), weights.tolist(),
                                       strict=True):  # fmt: skip
        collected.accumulate_for_gmm_two_feats(theirs, row, other, pdf, weight)
    stats = Statistics.empty(gmms)
    stats.add(gmms, features, pdfs, weights, summed=others)
    acc = collected.get_acc(0)
    np.testing.assert_allclose(stats.sums[:3], acc.mean_accumulator, rtol=1e-3, atol=1e-3)


def test_gaussians_are_dealt_out_as_in_kaldi():
    khg = pytest.importorskip("kaldi_hmm_gmm")
    gmms = model()
    for occupancy, total in (((900.0, 50.0, 4000.0), 24), ((30.0, 10.0, 500.0), 60)):
        theirs = to_kaldi(khg, gmms)
        theirs.split_by_count(np.array(occupancy, np.float32), total, 0.01, 0.25, 20.0)
        expected = [theirs.num_gauss_in_pdf(pdf) for pdf in range(gmms.num_pdfs)]
        found = split_targets(np.array(occupancy), np.array(COUNTS), total, SplitConfig())
        assert found.tolist() == expected


def test_splitting_halves_the_heaviest_and_hardly_changes_scores():
    gmms = model()
    grown = split(gmms, np.array([900.0, 500.0, 4000.0]), 16, np.random.default_rng(0))
    assert grown.num_gaussians == 16
    np.testing.assert_allclose(np.add.reduceat(grown.weight, grown.begin[:-1]), 1.0)
    features, _, _ = frames(50)
    assert np.abs(grown.loglikes(features) - gmms.loglikes(features)).max() < 0.1


def test_expectation_maximisation_never_loses_likelihood():
    gmms = split(model(), np.array([900.0, 500.0, 900.0]), 16, np.random.default_rng(0))
    features, pdfs, _ = frames(2000)
    before = -np.inf
    for _ in range(6):
        stats = Statistics.empty(gmms)
        stats.add(gmms, features, pdfs)
        assert stats.loglike > before - 1e-3
        before = stats.loglike
        gmms = updated(gmms, stats, UpdateConfig(min_occupancy=0.0, min_weight=0.0))


def test_few_frames_can_leave_gaussians_as_they_are():
    gmms = model()
    kept = updated(gmms, Statistics.empty(gmms), UpdateConfig(remove=False))
    assert np.array_equal(kept.mean, gmms.mean) and np.array_equal(kept.begin, gmms.begin)


def test_features_of_another_dimension_are_refused():
    with pytest.raises(ModelError, match="5 dimensions"):
        model().loglikes(np.zeros((3, 4), np.float32))


def test_mixtures_survive_the_disk_and_refuse_damage():
    tensors = model().to_tensors("x.")
    again = DiagGmms.from_tensors(tensors, "x.")
    assert np.array_equal(again.mean, model().mean)
    tensors["x.variance"] = -tensors["x.variance"]
    with pytest.raises(ModelError, match="fit together"):
        DiagGmms.from_tensors(tensors, "x.")
