"""The sums in torch equal those in numba, which equal enumeration."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_chain_objective import PDFS, random_graph

from asr.chain.batched import batch_sums, joined
from asr.chain.objective import LfMmiConfig, LfMmiLoss
from asr.chain.prepared import PreparedGraph


def devices() -> list[object]:
    missing = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")
    return ["cpu", pytest.param("cuda", marks=missing)]


@pytest.mark.parametrize("device", devices())
@pytest.mark.parametrize("leaky", (0.0, 0.1))
def test_batched_sums_equal_the_kernels(leaky: float, device: str) -> None:
    graphs = [PreparedGraph(random_graph(seed, 5, 9), leaky) for seed in range(4)]
    lengths = torch.tensor([7, 3, 5, 7])
    scores = torch.randn(4, 7, PDFS, dtype=torch.float64, generator=torch.manual_seed(0)) * 3
    found = batch_sums(joined(graphs, device, torch.float64), scores.to(device), lengths)
    for place, graph in enumerate(graphs):
        rows = scores[place, : lengths[place]].numpy().copy()
        expected = np.zeros_like(rows)
        logprob = graph.add(rows, expected, 1.0)
        assert float(found.logprobs[place]) == pytest.approx(logprob, abs=1e-9)
        posteriors = found.posteriors[place].cpu().numpy()
        np.testing.assert_allclose(posteriors[: len(rows)], expected, atol=1e-9)
        assert not posteriors[len(rows) :].any()


@pytest.mark.parametrize("device", devices())
def test_objective_is_the_same_either_way(device: str) -> None:
    outputs = torch.randn(3, 6, PDFS, generator=torch.manual_seed(1)).to(device)
    lengths = torch.tensor([6, 2, 5], device=device)
    graphs = [PreparedGraph(random_graph(seed)) for seed in range(3)]
    den = random_graph(9, 6, 14)
    kernels = LfMmiLoss(den, LfMmiConfig(threads=1, batched="never"))(outputs, lengths, graphs)
    batched = LfMmiLoss(den, LfMmiConfig(batched="always"))(outputs, lengths, graphs)
    assert batched.used.tolist() == kernels.used.tolist()
    assert batched.frames == kernels.frames
    assert batched.numerator == pytest.approx(kernels.numerator, rel=1e-5)
    assert batched.denominator == pytest.approx(kernels.denominator, rel=1e-5)
    torch.testing.assert_close(batched.gradient, kernels.gradient, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(batched.posteriors, kernels.posteriors, atol=1e-5, rtol=1e-4)
