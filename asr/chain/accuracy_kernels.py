"""The expected accuracy of a graph's paths and its gradient, forwards and backwards (numba).

State-level minimum Bayes risk (K. Veselý et al. 2013, "Sequence-discriminative training of deep
neural networks", eq. 7 to 9) over a denominator graph in place of lattices (N. Kanda et al. 2018,
"Lattice-free state-level minimum Bayes risk training of acoustic models"). Beside each probability
stands the same sum with every path weighted by its accuracy so far; scaling is that of
:mod:`asr.chain.kernels`.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

from asr.chain.kernels import emissions


@nb.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"}, inline="always")
def _entering(
    edge_begin: Any, edge_source: Any, weight: Any, alpha: Any, right: Any, state: Any
) -> Any:
    """What comes into a state along its edges: probability, and probability times accuracy."""
    total, accurate = 0.0, 0.0
    for edge in range(np.uintp(edge_begin[state]), np.uintp(edge_begin[state + 1])):
        source = np.uintp(edge_source[edge])
        total += weight[edge] * alpha[source]
        accurate += weight[edge] * right[source]
    return total, accurate


@nb.njit(cache=True, nogil=True)
def expected_accuracy(
    forward: Any,
    loop: Any,
    stay: Any,
    edge_begin: Any,
    edge_source: Any,
    weight: Any,
    final: Any,
    leak: Any,
    scores: Any,
    accuracy: Any,
    posteriors: Any,
    gradient: Any,
    alpha: Any,
    right: Any,
    entered: Any,
    entered_right: Any,
    beta: Any,
    emit: Any,
) -> Any:
    """(Log of the sum over all paths, their expected accuracy); (−inf, 0) where there is none.

    Args:
        forward … scores: as :func:`asr.chain.kernels.forward_backward` takes them.
        accuracy: float32 or float64 [T, pdfs], what a path gains by a pdf in a frame.
        posteriors: float32 or float64 [T, pdfs]; the occupation of each pdf is added.
        gradient: float32 or float64 [T, pdfs]; that of the expected accuracy by the scores is
            added: occupation · (expected accuracy of the paths through it − that of all paths).
        alpha, right: float64 [T + 1, S], entered, entered_right: float64 [T, S], beta: float64
            [6, S], emit: float64 [pdfs]: scratch.
    """
    frames, states = len(scores), len(forward)
    leaks = leak.sum() > 0.0
    alpha[0, :] = 0.0
    alpha[0, 0] = 1.0
    right[0, :] = 0.0
    total = 0.0
    for t in range(frames):
        best = emissions(scores, t, emit)
        if leaks:
            mass, mass_right = alpha[t].sum(), right[t].sum()
            for s in range(states):
                alpha[t, s] += mass * leak[s]
                right[t, s] += mass_right * leak[s]
        norm = 0.0
        for s in range(states):
            entering, entering_right = _entering(
                edge_begin, edge_source, weight, alpha[t], right[t], s
            )
            entered[t, s] = entering
            entered_right[t, s] = entering_right
            enter, remain = emit[forward[s]], stay[s] * emit[loop[s]]
            value = entering * enter + alpha[t, s] * remain
            alpha[t + 1, s] = value
            right[t + 1, s] = (entering_right + entering * accuracy[t, forward[s]]) * enter + (
                right[t, s] + alpha[t, s] * accuracy[t, loop[s]]
            ) * remain
            norm += value
        if not norm > 0.0:
            return -np.inf, 0.0
        scale = 1.0 / norm
        for s in range(states):
            alpha[t + 1, s] *= scale
            right[t + 1, s] *= scale
        total += np.log(norm) + best
    ending, expected = 0.0, 0.0
    for s in range(states):
        ending += alpha[frames, s] * final[s]
        expected += right[frames, s] * final[s]
    if not ending > 0.0:
        return -np.inf, 0.0
    total += np.log(ending)
    expected /= ending
    now, now_right, before, before_right, arriving, arriving_right = beta
    for s in range(states):
        now[s] = final[s] / ending
        now_right[s] = 0.0
    for t in range(frames - 1, -1, -1):
        emissions(scores, t, emit)
        mass = 0.0
        for s in range(states):
            enter, remain = emit[forward[s]], stay[s] * emit[loop[s]]
            arriving[s] = now[s] * enter
            arriving_right[s] = (now_right[s] + now[s] * accuracy[t, forward[s]]) * enter
            before[s] = now[s] * remain
            before_right[s] = (now_right[s] + now[s] * accuracy[t, loop[s]]) * remain
            mass += arriving[s] * entered[t, s] + before[s] * alpha[t, s]
        scale = 1.0 / mass
        for s in range(states):  # before edges add to `before`
            pdf = loop[s]
            here = before[s] * alpha[t, s] * scale
            gain = (before[s] * right[t, s] + before_right[s] * alpha[t, s]) * scale
            posteriors[t, pdf] += here
            gradient[t, pdf] += gain - expected * here
            pdf = forward[s]
            here = arriving[s] * entered[t, s] * scale
            gain = (
                arriving[s] * entered_right[t, s] + arriving_right[s] * entered[t, s]
            ) * scale
            posteriors[t, pdf] += here
            gradient[t, pdf] += gain - expected * here
        for s in range(states):
            arrived, arrived_right = arriving[s], arriving_right[s]
            if arrived > 0.0:
                for edge in range(np.uintp(edge_begin[s]), np.uintp(edge_begin[s + 1])):
                    source = np.uintp(edge_source[edge])
                    before[source] += weight[edge] * arrived
                    before_right[source] += weight[edge] * arrived_right
        leaked, leaked_right = 0.0, 0.0
        if leaks:
            for s in range(states):
                leaked += leak[s] * before[s]
                leaked_right += leak[s] * before_right[s]
        for s in range(states):
            now[s] = (before[s] + leaked) * scale
            now_right[s] = (before_right[s] + leaked_right) * scale
    return total, expected
