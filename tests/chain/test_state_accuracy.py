"""Expected state accuracy (sMBR) against brute-force enumeration of all paths, in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_chain_batched import devices
from test_chain_objective import PDFS, all_paths, brute_force, random_graph

from asr.chain.batched import joined
from asr.chain.batched_accuracy import batch_accuracy
from asr.chain.hmm_graph import HmmGraph, from_edges
from asr.chain.objective import LfMmiConfig, LfMmiLoss
from asr.chain.prepared import PreparedGraph, summed
from asr.errors import UsageError


def enumerated(graph: HmmGraph, scores: np.ndarray, accuracy: np.ndarray) -> tuple[float, ...]:
    """The expected accuracy of a path, and its gradient by the scores (torch's)."""
    tensor = torch.tensor(scores, dtype=torch.float64, requires_grad=True)
    totals, gains = [], []
    for cost, pdfs in all_paths(graph, len(scores)):
        places = list(enumerate(pdfs))
        totals.append(sum((tensor[place] for place in places), start=torch.tensor(-cost).double()))
        gains.append(sum(float(accuracy[place]) for place in places))
    chances = torch.softmax(torch.stack(totals), 0)
    expected = (chances * torch.tensor(gains, dtype=torch.float64)).sum()
    expected.backward()
    return expected.item(), tensor.grad.numpy()


def computed(graph: HmmGraph, scores: np.ndarray, accuracy: np.ndarray, leaky: float = 0.0):
    posteriors, gradient = np.zeros_like(scores), np.zeros_like(scores)
    logprob, expected = PreparedGraph(graph, leaky).add_accuracy(
        scores, accuracy, posteriors, gradient
    )
    return logprob, expected, posteriors, gradient


def case(seed: int, frames: int = 5, spread: float = 3.0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    return generator.normal(0, spread, (frames, PDFS)), generator.random((frames, PDFS))


@pytest.mark.parametrize("seed", range(8))
def test_expectation_and_gradient_equal_enumeration(seed: int) -> None:
    graph = random_graph(seed)
    scores, accuracy = case(seed)
    expected, gradient = enumerated(graph, scores, accuracy)
    logprob, found, posteriors, found_gradient = computed(graph, scores, accuracy)
    assert found == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(found_gradient, gradient, atol=1e-5)
    plain = summed(graph, scores)
    assert logprob == pytest.approx(plain.logprob, abs=1e-9)
    np.testing.assert_allclose(posteriors, plain.posteriors, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_with_leaks_it_is_the_derivative_of_the_posteriors(seed: int) -> None:
    """Scores that grow by a little of the accuracy: the leaky posteriors equal enumeration."""
    graph, leaky, step = random_graph(seed), 0.1, 1e-5
    scores, accuracy = case(seed, 7)
    more, less = (summed(graph, scores + sign * step * accuracy, leaky) for sign in (1, -1))
    _, found, _, gradient = computed(graph, scores, accuracy, leaky)
    assert found == pytest.approx((more.logprob - less.logprob) / (2 * step), abs=1e-6)
    slope = (more.posteriors - less.posteriors) / (2 * step)
    np.testing.assert_allclose(gradient, slope, atol=1e-6)


def test_scores_far_apart_do_not_underflow() -> None:
    graph = random_graph(5)
    scores, accuracy = case(0, 6, 60.0)
    expected, gradient = enumerated(graph, scores, accuracy)
    _, found, _, found_gradient = computed(graph, scores, accuracy)
    assert found == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(found_gradient, gradient, atol=1e-6)


def test_where_there_is_no_path_nothing_is_added() -> None:
    line = from_edges(
        np.arange(4), np.arange(4), np.zeros(4),
        (np.array([0, 1, 2]), np.array([1, 2, 3]), np.zeros(3)),
        np.array([np.inf, np.inf, np.inf, 0.0]),
    )  # fmt: skip
    logprob, expected, posteriors, gradient = computed(line, *case(0, 2))
    assert (logprob, expected) == (-np.inf, 0.0)
    assert not posteriors.any() and not gradient.any()


@pytest.mark.parametrize("device", devices())
@pytest.mark.parametrize("leaky", (0.0, 0.1))
def test_batched_accuracy_equals_the_kernels(leaky: float, device: str) -> None:
    graphs = [PreparedGraph(random_graph(seed, 5, 9), leaky) for seed in range(4)]
    lengths = torch.tensor([7, 3, 5, 7])
    generator = torch.manual_seed(0)
    scores = torch.randn(4, 7, PDFS, dtype=torch.float64, generator=generator) * 3
    accuracy = torch.rand(4, 7, PDFS, dtype=torch.float64, generator=generator)
    found = batch_accuracy(
        joined(graphs, device, torch.float64), scores.to(device), lengths, accuracy.to(device)
    )
    for place, graph in enumerate(graphs):
        size = int(lengths[place])
        rows = scores[place, :size].numpy().copy()
        posteriors, gradient = np.zeros_like(rows), np.zeros_like(rows)
        gains = accuracy[place, :size].numpy().copy()
        logprob, expected = graph.add_accuracy(rows, gains, posteriors, gradient)
        assert float(found.logprobs[place]) == pytest.approx(logprob, abs=1e-9)
        assert float(found.expected[place]) == pytest.approx(expected, abs=1e-9)
        for mine, theirs in ((posteriors, found.posteriors), (gradient, found.gradient)):
            np.testing.assert_allclose(theirs[place, :size].cpu().numpy(), mine, atol=1e-9)
            assert not theirs[place, size:].any()


@pytest.mark.parametrize("batched", ("never", "always"))
def test_objective_and_gradient_equal_enumeration(batched: str) -> None:
    """Two utterances of different length, one too short for its text; padding gets no gradient."""
    numerators, denominator = [random_graph(1), random_graph(2)], random_graph(3, 5, 12)
    line = from_edges(
        np.arange(4), np.arange(4), np.zeros(4),
        (np.array([0, 1, 2]), np.array([1, 2, 3]), np.zeros(3)),
        np.array([np.inf, np.inf, np.inf, 0.0]),
    )  # fmt: skip
    outputs = torch.randn(3, 5, PDFS, dtype=torch.float64, generator=torch.manual_seed(0))
    outputs.requires_grad_()
    config = LfMmiConfig(leaky=0.0, mmi=0.3, smbr=2.0, threads=1, batched=batched)
    result = LfMmiLoss(denominator, config)(
        outputs, torch.tensor([5, 3, 2]),
        [PreparedGraph(graph) for graph in (*numerators, line)],
    )  # fmt: skip
    result.attached(outputs).backward()
    value = accuracy = 0.0
    for place, (graph, size) in enumerate(zip(numerators, (5, 3), strict=True)):
        scores = outputs[place, :size].detach().numpy()
        said, right = brute_force(graph, scores)
        other, occupied = brute_force(denominator, scores)
        expected, slope = enumerated(denominator, scores, right)
        value += 0.3 * (said - other) + 2.0 * expected
        accuracy += expected
        gradient = 0.3 * (right - occupied) + 2.0 * slope
        np.testing.assert_allclose(outputs.grad[place, :size], gradient, atol=1e-5)
    assert result.value == pytest.approx(value, abs=1e-5)
    assert result.accuracy == pytest.approx(accuracy, abs=1e-5)
    assert not outputs.grad[1, 3:].any() and not outputs.grad[2].any()
    assert result.used.tolist() == [True, True, False] and result.frames == 8


def test_threads_change_nothing() -> None:
    outputs = torch.randn(3, 6, PDFS, generator=torch.manual_seed(1))
    graphs = [PreparedGraph(random_graph(seed)) for seed in range(3)]
    lengths = torch.tensor([6, 4, 5])
    one, two = (
        LfMmiLoss(random_graph(7), LfMmiConfig(smbr=1.0, threads=threads))(outputs, lengths, graphs)
        for threads in (1, 2)
    )
    assert torch.equal(one.gradient, two.gradient) and one.value == two.value


def test_weights_that_leave_nothing_to_learn_are_refused() -> None:
    with pytest.raises(UsageError, match="nothing to train for"):
        LfMmiConfig(mmi=0.0)
    with pytest.raises(UsageError, match="may not be below 0"):
        LfMmiConfig(smbr=-1.0)
