"""SpecAugment: masks lie within their limits, the rest stays, the same generator gives the same."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.data.spec_augment import SpecAugment
from asr.errors import UsageError


def _batch(lengths: list[int], dim: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(len(lengths), max(lengths), dim, generator=generator) + 5
    for row, length in zip(features, lengths, strict=True):
        row[length:] = 0
    return features, torch.tensor(lengths)


def _runs(mask: torch.Tensor) -> list[int]:
    """Lengths of the runs of true values."""
    runs, current = [], 0
    for value in [*mask.tolist(), False]:
        if value:
            current += 1
        elif current:
            runs.append(current)
            current = 0
    return runs


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    st.integers(1, 20),
    st.integers(0, 3),
    st.floats(0, 1),
    st.integers(0, 3),
    st.integers(0, 30),
    st.floats(0, 1),
    st.integers(0, 1000),
)
@settings(max_examples=150, deadline=None)
def test_masks_within_limits(
    lengths: list[int],
    dim: int,
    bands: int,
    width: float,
    stretches: int,
    frames: int,
    share: float,
    seed: int,
) -> None:
    features, counts = _batch(lengths, dim)
    augment = SpecAugment(bands, width, stretches, frames, share)
    out = augment(features, counts, torch.Generator().manual_seed(seed))
    for row, new, length in zip(features, out, lengths, strict=True):
        assert (new[length:] == 0).all()
        row, new = row[:length], new[:length]
        changed = row != new
        mean = row.mean(0).expand_as(row)
        torch.testing.assert_close(new[changed], mean[changed], rtol=1e-5, atol=1e-5)
        # where a value is its column's mean (one frame), being hidden changes nothing
        whole_frames, whole_bands = changed.all(1), changed.all(0)
        expected = whole_frames[:, None] | whole_bands
        if length > 1:
            assert (changed <= expected).all()
        assert whole_frames.sum() <= share * length + 1e-6 or whole_bands.all()
        if not whole_bands.all():
            assert whole_frames.sum() <= stretches * frames
            assert len(_runs(whole_frames)) <= stretches
        if not whole_frames.all():
            assert whole_bands.sum() <= bands * int(width * dim)
            assert len(_runs(whole_bands)) <= bands


def test_all_widths_and_places_are_drawn() -> None:
    augment = SpecAugment(1, 0.5, 0, 0, 0.0)
    features = torch.randn(4000, 4, 8)
    hidden = (augment(features) != features).all(1)
    widths = torch.bincount(hidden.sum(1), minlength=5)
    assert len(widths) == 5 and (widths > 650).all()
    assert (hidden.float().mean(0) > 0.1).all()


def test_the_same_generator_gives_the_same_on_any_batch_device_and_dtype() -> None:
    features, counts = _batch([50, 30], 10)
    augment = SpecAugment(warp_frames=8)
    one, two, other = (
        augment(features, counts, torch.Generator().manual_seed(s)) for s in (1, 1, 2)
    )
    torch.testing.assert_close(one, two, rtol=0, atol=0)
    assert not torch.equal(one, other)
    assert (
        augment(features.double(), counts, torch.Generator().manual_seed(1)).dtype == torch.float64
    )


@pytest.mark.parametrize("lengths", [[1, 2, 3], [40, 7], [100]])
def test_warping_moves_but_invents_nothing(lengths: list[int]) -> None:
    features, counts = _batch(lengths, 3)
    ramp = torch.arange(float(max(lengths)))[None, :, None].expand_as(features).contiguous()
    warp = SpecAugment(0, 0, 0, 0, 0, warp_frames=10)
    out = warp(ramp, counts, torch.Generator().manual_seed(4))
    for row, length in zip(out, lengths, strict=True):
        inside = row[:length, 0]
        assert (inside.diff() >= -0.51).all()  # in order, but for half a frame at the seam
        assert inside.min() >= 0 and inside.max() <= length - 1
        assert (row[length:] == 0).all()
        assert (inside - torch.arange(float(length))).abs().max() <= 10.5
    if max(lengths) > 30:
        assert not torch.equal(out[0, : lengths[0]], ramp[0, : lengths[0]])


def test_nothing_asked_for_changes_nothing() -> None:
    features, counts = _batch([20, 10], 5)
    torch.testing.assert_close(SpecAugment(0, 0, 0)(features, counts), features, rtol=0, atol=0)
    assert SpecAugment()(torch.zeros(0, 5, 4)).shape == (0, 5, 4)


@pytest.mark.parametrize(
    "options", [{"bands": -1}, {"band_width": 1.5}, {"stretch_share": -0.1}, {"warp_frames": -2}]
)
def test_bad_options(options: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        SpecAugment(**options)  # type: ignore[arg-type]
