"""i-vectors: against the formulas frame by frame, and against Kaldi in tests/kaldi."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.errors import ModelError, UsageError
from asr.features.ivector import IvectorConfig, IvectorExtractor, IvectorParams

FEW = settings(max_examples=25, deadline=None, derandomize=True)
DIM, PROJECTED, GAUSSIANS, SIZE = 3, 2, 7, 4


def random_params(seed: int, splice: int = 3) -> IvectorParams:
    rng = np.random.default_rng(seed)
    inv_vars = rng.uniform(0.5, 2.0, (GAUSSIANS, PROJECTED))
    means = rng.normal(size=(GAUSSIANS, PROJECTED))
    gconsts = -0.5 * (means**2 * inv_vars - np.log(inv_vars)).sum(1) + rng.normal(size=GAUSSIANS)
    roots = rng.normal(size=(GAUSSIANS, PROJECTED, PROJECTED))
    global_cmvn = np.zeros((2, DIM + 1))
    global_cmvn[0] = [*rng.normal(size=DIM) * 1000, 1000]
    single = {
        "gconsts": gconsts,
        "means_invvars": means * inv_vars,
        "inv_vars": inv_vars,
        "projection": rng.normal(size=(GAUSSIANS, PROJECTED, SIZE)),
        "sigma_inv": roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(PROJECTED),
        "lda": rng.normal(size=(PROJECTED, DIM * splice + 1)),
        "prior_offset": np.array([5.0]),
    }
    arrays = {name: array.astype(np.float32) for name, array in single.items()}
    return IvectorParams(**arrays, global_cmvn=global_cmvn)


def by_definition(
    p: IvectorParams, c: IvectorConfig, mfcc: np.ndarray, until: int | None = None
) -> np.ndarray:
    """Kaldi's OnlineIvectorFeature, frame by frame in float64, from the first ``until`` frames."""
    frames = mfcc.astype(np.float64)
    total = np.zeros(DIM + 1)
    normalised = np.empty_like(frames)
    for t, frame in enumerate(frames):
        total += [*frame, 1]
        if t >= c.cmn_window:
            total -= [*frames[t - c.cmn_window], 1]
        missing = min(c.cmn_window - total[-1], c.global_frames)
        filled = total + p.global_cmvn[0] * missing / p.global_cmvn[0, -1]
        normalised[t] = frame - filled[:-1] / filled[-1]
    quadratic, linear, count = np.eye(SIZE), np.zeros(SIZE), 0.0
    linear[0] = p.prior_offset[0]
    times = np.arange(len(frames))[:, None] + np.arange(-c.splice_left, c.splice_right + 1)
    times = times.clip(0, len(frames) - 1)
    for window in times[:until]:
        raw = p.lda @ [*frames[window].ravel(), 1]
        x = p.lda @ [*normalised[window].ravel(), 1]
        likes = p.gconsts + p.means_invvars @ x - 0.5 * p.inv_vars @ x**2
        posts = posterior_entry(likes, c.num_gselect, c.min_post)
        for g, post in posts.items():
            weight = post * c.posterior_scale
            linear += weight * p.projection[g].T @ p.sigma_inv[g] @ raw
            quadratic += weight * p.projection[g].T @ p.sigma_inv[g] @ p.projection[g]
            count += weight
    if c.max_count > 0 and count > c.max_count:
        extra = count / c.max_count - 1
        linear[0] += p.prior_offset[0] * extra
        quadratic += np.eye(SIZE) * extra
    ivector = np.linalg.solve(quadratic, linear)
    ivector[0] -= p.prior_offset[0]
    return ivector


def posterior_entry(likes: np.ndarray, num_gselect: int, min_post: float) -> dict[int, float]:
    """VectorToPosteriorEntry of Kaldi's hmm/posterior.cc."""
    best = likes.max()
    pairs = [
        (np.exp(like - best), g)
        for g, like in enumerate(likes)
        if min_post == 0 or like > best + np.log(min_post)
    ]
    pairs = sorted(pairs, reverse=True)[:num_gselect]
    total = sum(post for post, _ in pairs)
    cutoff = min_post * total
    while len(pairs) > 1 and pairs[-1][0] < cutoff:
        total -= pairs.pop()[0]
    return {g: post / total for post, g in pairs}


@FEW
@given(
    seed=st.integers(0, 10**6),
    frames=st.integers(1, 60),
    num_gselect=st.integers(1, 8),
    min_post=st.sampled_from([0.0, 0.025, 0.2]),
    max_count=st.sampled_from([0.0, 1.0, 100.0]),
    splice=st.sampled_from([(1, 1), (0, 2), (2, 0), (0, 0)]),
    window=st.integers(1, 40),
)
def test_equals_kaldis_formulas(
    seed: int,
    frames: int,
    num_gselect: int,
    min_post: float,
    max_count: float,
    splice: tuple[int, int],
    window: int,
) -> None:
    config = IvectorConfig(
        num_gselect, min_post, 0.1, max_count, *splice, window, global_frames=window // 2
    )
    params = random_params(seed, sum(splice) + 1)
    mfcc = np.random.default_rng(seed).normal(size=(frames, DIM)).astype(np.float32)
    ivector = IvectorExtractor(params, config).extract(torch.from_numpy(mfcc))
    expected = by_definition(params, config, mfcc)
    np.testing.assert_allclose(ivector.numpy(), expected, atol=2e-3, rtol=2e-3)


CONFIG = IvectorConfig(splice_left=1, splice_right=1)


@FEW
@given(seed=st.integers(0, 10**6), sizes=st.lists(st.integers(0, 12), max_size=8))
def test_pieces_of_any_size_give_the_same_ivector(seed: int, sizes: list[int]) -> None:
    extractor = IvectorExtractor(random_params(seed), CONFIG)
    mfcc = torch.randn(sum(sizes), DIM, generator=torch.Generator().manual_seed(seed))
    stream = extractor.stream()
    for piece in mfcc.split(sizes):
        stream.accept(piece)
        assert stream.ivector().isfinite().all()
    stream.finish()
    torch.testing.assert_close(stream.ivector(), extractor.extract(mfcc), atol=1e-4, rtol=1e-4)


@FEW
@given(seed=st.integers(0, 10**6), frames=st.integers(0, 40), period=st.integers(1, 12))
def test_online_ivectors_use_the_past_only(seed: int, frames: int, period: int) -> None:
    params = random_params(seed)
    mfcc = torch.randn(frames, DIM, generator=torch.Generator().manual_seed(seed))
    online = IvectorExtractor(params, CONFIG).extract_online(mfcc, period)
    assert online.shape == (-(-frames // period), SIZE)
    for row, time in enumerate(range(0, frames, period)):
        expected = by_definition(params, CONFIG, mfcc.numpy(), until=time + 1)
        np.testing.assert_allclose(online[row].numpy(), expected, atol=2e-3, rtol=2e-3)


def test_long_recordings_are_worked_on_in_pieces() -> None:
    extractor = IvectorExtractor(random_params(1), CONFIG)
    mfcc = torch.randn(5000, DIM, generator=torch.Generator().manual_seed(1))
    expected = by_definition(random_params(1), CONFIG, mfcc.numpy())
    np.testing.assert_allclose(extractor.extract(mfcc).numpy(), expected, atol=2e-3)


def test_no_frames_give_the_prior_mean() -> None:
    extractor = IvectorExtractor(random_params(1), CONFIG)
    assert extractor.extract(torch.zeros(0, DIM)).tolist() == [0.0] * SIZE
    assert extractor.stream().ivector().tolist() == [0.0] * SIZE


def test_features_of_another_dimension_are_refused() -> None:
    extractor = IvectorExtractor(random_params(1), CONFIG)
    with pytest.raises(UsageError, match="frames, 3"):
        extractor.extract(torch.zeros(5, 4))
    with pytest.raises(UsageError, match="period"):
        extractor.extract_online(torch.zeros(5, DIM), 0)


def test_arrays_that_do_not_fit_are_refused() -> None:
    params = random_params(1)
    with pytest.raises(ModelError, match="do not fit"):
        IvectorExtractor(params, IvectorConfig())  # splices 7 frames, the LDA takes 3
    tensors = params.to_tensors()
    assert IvectorParams.from_tensors(tensors).ivector_dim == SIZE
    with pytest.raises(ModelError, match="lacks lda"):
        IvectorParams.from_tensors({k: v for k, v in tensors.items() if k != "lda"})
    spoilt = IvectorParams.from_tensors({**tensors, "gconsts": np.full(GAUSSIANS, np.nan)})
    with pytest.raises(ModelError, match="do not fit"):
        spoilt.validate(CONFIG)


@pytest.mark.parametrize(
    "options",
    [
        {"num_gselect": 0}, {"min_post": 0.5}, {"posterior_scale": 0.0}, {"max_count": -1.0},
        {"splice_left": -1}, {"cmn_window": 0}, {"cmn_window": 100, "global_frames": 200},
    ],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="i-vectors need"):
        IvectorConfig(**options)
