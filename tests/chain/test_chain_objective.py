"""LF-MMI against brute-force enumeration of all paths, in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from asr.chain.denominator import leaky_probabilities
from asr.chain.hmm_graph import HmmGraph, from_edges
from asr.chain.numerator import numerator
from asr.chain.objective import LfMmiConfig, LfMmiLoss
from asr.chain.phone_lm import estimate_phone_lm
from asr.chain.prepared import PreparedGraph, summed
from asr.chain.supervision import best_states, pdfs_of
from asr.errors import DataError

PDFS = 5


def random_graph(seed: int, states: int = 4, edges: int = 8) -> HmmGraph:
    """A small graph with loops; its edges lead from a state to another."""
    generator = np.random.default_rng(seed)
    pairs = generator.permutation(states * states)
    pairs = pairs[pairs // states != pairs % states][:edges]
    source, target = pairs // states, pairs % states
    final = generator.random(states).astype(np.float32)
    final[generator.random(states) < 0.4] = np.inf
    final[-1] = 0.3
    return from_edges(
        generator.integers(0, PDFS, states),
        generator.integers(0, PDFS, states),
        generator.random(states),
        (source, target, generator.random(len(source))),
        final,
    )


def all_paths(graph: HmmGraph, frames: int) -> list[tuple[float, list[int]]]:
    """(cost, pdf of each frame) of every path: self-loops and edges, from state 0 to an end."""
    edges = {}
    for target in range(graph.states):
        for edge in range(graph.edge_begin[target], graph.edge_begin[target + 1]):
            edges[int(graph.edge_source[edge]), target] = float(graph.edge_cost[edge])
    paths = [(0.0, [], 0)]
    for _ in range(frames):
        longer = []
        for cost, pdfs, state in paths:
            stay = cost + float(graph.loop_cost[state])
            longer.append((stay, [*pdfs, int(graph.loop[state])], state))
            for (source, target), weight in edges.items():
                if source == state:
                    longer.append((cost + weight, [*pdfs, int(graph.forward[target])], target))
        paths = longer
    return [
        (cost + float(graph.final_cost[state]), pdfs)
        for cost, pdfs, state in paths
        if math.isfinite(graph.final_cost[state])
    ]


def brute_force(graph: HmmGraph, scores: np.ndarray) -> tuple[float, np.ndarray]:
    """Log of the sum over all paths, and its gradient by the scores."""
    tensor = torch.tensor(scores, requires_grad=True)
    totals = [
        sum((tensor[frame, pdf] for frame, pdf in enumerate(pdfs)), start=torch.tensor(-cost))
        for cost, pdfs in all_paths(graph, len(scores))
    ]
    total = torch.logsumexp(torch.stack(totals), 0)
    total.backward()
    return total.item(), tensor.grad.numpy()


@pytest.mark.parametrize("seed", range(8))
def test_sum_and_posteriors_equal_enumeration(seed: int) -> None:
    graph = random_graph(seed)
    scores = np.random.default_rng(100 + seed).normal(0, 3, (5, PDFS))
    expected, gradient = brute_force(graph, scores)
    found = summed(graph, scores)
    assert found.logprob == pytest.approx(expected, abs=1e-5)
    np.testing.assert_allclose(found.posteriors, gradient, atol=1e-5)
    np.testing.assert_allclose(found.posteriors.sum(axis=1), 1.0, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_leaky_hmm_equals_enumeration(seed: int) -> None:
    """Before each frame a path may jump; enumerated as a matrix product in float64."""
    graph, leaky = random_graph(seed), 0.1
    scores = np.random.default_rng(seed).normal(0, 2, (6, PDFS))
    jump = torch.eye(graph.states, dtype=torch.float64) + leaky * torch.tensor(
        leaky_probabilities(graph)
    ).expand(graph.states, -1)
    tensor = torch.tensor(scores, requires_grad=True)
    mass = torch.zeros(graph.states, dtype=torch.float64)
    mass[0] = 1.0
    for frame in range(len(scores)):
        move = torch.zeros(graph.states, graph.states, dtype=torch.float64)
        for target in range(graph.states):
            move[target, target] += math.exp(-float(graph.loop_cost[target])) * torch.exp(
                tensor[frame, graph.loop[target]]
            )
            for edge in range(graph.edge_begin[target], graph.edge_begin[target + 1]):
                move[graph.edge_source[edge], target] += math.exp(
                    -float(graph.edge_cost[edge])
                ) * torch.exp(tensor[frame, graph.forward[target]])
        mass = mass @ jump @ move
    total = torch.log((mass * torch.exp(-torch.tensor(graph.final_cost).double())).sum())
    total.backward()
    found = summed(graph, scores, leaky)
    assert found.logprob == pytest.approx(total.item(), abs=1e-6)
    np.testing.assert_allclose(found.posteriors, tensor.grad.numpy(), atol=1e-6)


def test_objective_and_gradient_equal_enumeration() -> None:
    """Two utterances of different length in one batch: padding gets no gradient."""
    numerators, denominator = [random_graph(1), random_graph(2)], random_graph(3, 5, 12)
    outputs = torch.randn(2, 5, PDFS, dtype=torch.float64, generator=torch.manual_seed(0))
    outputs.requires_grad_()
    lengths = torch.tensor([5, 3])
    loss = LfMmiLoss(denominator, LfMmiConfig(leaky=0.0, l2=0.0, threads=1))
    result = loss(outputs, lengths, [PreparedGraph(graph) for graph in numerators])
    result.attached(outputs).backward()
    expected = 0.0
    for place, (graph, size) in enumerate(zip(numerators, (5, 3), strict=True)):
        scores = outputs[place, :size].detach().numpy()
        said, said_gradient = brute_force(graph, scores)
        other, other_gradient = brute_force(denominator, scores)
        expected += said - other
        np.testing.assert_allclose(
            outputs.grad[place, :size], said_gradient - other_gradient, atol=1e-5
        )
    assert result.numerator - result.denominator == pytest.approx(expected, abs=1e-5)
    assert not outputs.grad[1, 3:].any()
    assert result.frames == 8


def test_scores_far_apart_do_not_underflow() -> None:
    graph = random_graph(5)
    scores = np.random.default_rng(0).normal(0, 60, (6, PDFS))
    expected, gradient = brute_force(graph, scores)
    found = summed(graph, scores)
    assert found.logprob == pytest.approx(expected, rel=1e-9)
    np.testing.assert_allclose(found.posteriors, gradient, atol=1e-6)


def test_an_utterance_too_short_for_its_text_does_not_count() -> None:
    line = from_edges(
        np.arange(4), np.arange(4), np.zeros(4),
        (np.array([0, 1, 2]), np.array([1, 2, 3]), np.zeros(3)),
        np.array([np.inf, np.inf, np.inf, 0.0]),
    )  # fmt: skip
    outputs = torch.zeros(2, 4, PDFS)
    loss = LfMmiLoss(random_graph(0), LfMmiConfig(threads=1))
    result = loss(outputs, torch.tensor([2, 4]), [PreparedGraph(line)] * 2)
    assert result.used.tolist() == [False, True]
    assert not result.gradient[0].any()
    assert result.gradient[1].any()
    assert result.frames == 4


@pytest.mark.parametrize("seed", range(4))
def test_best_states_is_the_best_of_all_paths(seed: int) -> None:
    graph = random_graph(seed)
    scores = np.random.default_rng(seed).normal(0, 3, (5, PDFS)).astype(np.float32)
    best = max(
        (sum(scores[frame, pdf] for frame, pdf in enumerate(pdfs)) - cost, pdfs)
        for cost, pdfs in all_paths(graph, 5)
    )
    assert pdfs_of(graph, best_states(graph, scores)).tolist() == best[1]


def test_threads_change_nothing() -> None:
    outputs = torch.randn(3, 6, PDFS, generator=torch.manual_seed(1))
    graphs = [PreparedGraph(random_graph(seed)) for seed in range(3)]
    lengths = torch.tensor([6, 4, 5])
    one, two = (
        LfMmiLoss(random_graph(7), LfMmiConfig(threads=threads))(outputs, lengths, graphs)
        for threads in (1, 2)
    )
    assert torch.equal(one.gradient, two.gradient)
    assert one.numerator == two.numerator


def test_phones_never_heard_together_can_be_evaluated() -> None:
    """A text of the dev set whose phones never follow each other in training texts."""
    lm = estimate_phone_lm([["a", "b"], ["c", "d"]])
    line = from_edges(
        np.arange(3), np.arange(3), np.zeros(3),
        (np.array([0, 1]), np.array([1, 2]), np.zeros(2)), np.array([np.inf, np.inf, 0.0]),
    )  # fmt: skip
    phones = ["SIL", "a", "d"]
    with pytest.raises(DataError, match="no way"):
        numerator(line, phones, lm)
    found = numerator(line, phones, lm, unseen=1e-3)
    assert found.states == 3
    # a begins half of the texts; d after it, and the end after both, are as rare as can be
    costs = sorted(found.edge_cost.tolist())
    assert costs == pytest.approx([-math.log(0.5), -math.log(1e-3)])
    assert found.final_cost[2] == pytest.approx(-math.log(1e-3))
