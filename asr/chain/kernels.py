"""Sums over all paths of an HMM graph, forwards and backwards (numba).

Probabilities are scaled to sum to one in every frame (Rabiner 1989, V.A), in float64; a frame's
scores are taken relative to the best of the frame. The leaky HMM (Povey et al. 2016, "Purely
sequence-trained neural networks for ASR based on lattice-free MMI", 2.6) lets a path go on anywhere
at a small cost, so that no utterance is impossible and the past fades.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np


@nb.njit(cache=True, nogil=True)
def emissions(scores: Any, frame: int, emit: Any) -> float:
    """exp(score − best) of every pdf of a frame into ``emit``; the best."""
    best = scores[frame, 0]
    for pdf in range(scores.shape[1]):
        best = max(best, scores[frame, pdf])
    for pdf in range(scores.shape[1]):
        emit[pdf] = np.exp(np.float64(scores[frame, pdf] - best))
    return float(best)


@nb.njit(cache=True, nogil=True, fastmath={"reassoc", "contract"}, inline="always")
def _entering(edge_begin: Any, edge_source: Any, weight: Any, alpha: Any, state: Any) -> Any:
    """The probability that comes into a state along its edges."""
    total = 0.0
    for edge in range(np.uintp(edge_begin[state]), np.uintp(edge_begin[state + 1])):
        total += weight[edge] * alpha[np.uintp(edge_source[edge])]
    return total


@nb.njit(cache=True, nogil=True)
def forward_backward(
    forward: Any,
    loop: Any,
    stay: Any,
    edge_begin: Any,
    edge_source: Any,
    weight: Any,
    final: Any,
    leak: Any,
    scores: Any,
    posteriors: Any,
    factor: float,
    alpha: Any,
    entered: Any,
    beta: Any,
    emit: Any,
) -> float:
    """Log of the sum over all paths of exp(scores − costs); −inf where there is none.

    Args:
        stay: float64 [S], probability weight of a self-loop; weight: float64 [E], of an edge;
            final: float64 [S], of an end.
        leak: float64 [S], from anywhere to each state, without taking a frame; all 0 for none.
        scores: float32 or float64 [T, pdfs].
        posteriors: float32 or float64 [T, pdfs]; ``factor`` · the occupation of each pdf in each
            frame is added.
        alpha: float64 [T + 1, S], entered: float64 [T, S], beta: float64 [3, S], emit: float64
            [pdfs]: scratch.
    """
    frames, states = len(scores), len(forward)
    leaks = leak.sum() > 0.0
    alpha[0, :] = 0.0
    alpha[0, 0] = 1.0
    total = 0.0
    for t in range(frames):
        best = emissions(scores, t, emit)
        if leaks:
            mass = alpha[t].sum()
            for s in range(states):
                alpha[t, s] += mass * leak[s]
        norm = 0.0
        for s in range(states):
            entering = _entering(edge_begin, edge_source, weight, alpha[t], s)
            entered[t, s] = entering
            value = entering * emit[forward[s]] + alpha[t, s] * stay[s] * emit[loop[s]]
            alpha[t + 1, s] = value
            norm += value
        if not norm > 0.0:
            return -np.inf
        scale = 1.0 / norm
        for s in range(states):
            alpha[t + 1, s] *= scale
        total += np.log(norm) + best
    ending = 0.0
    for s in range(states):
        ending += alpha[frames, s] * final[s]
    if not ending > 0.0:
        return -np.inf
    total += np.log(ending)
    now, before, arriving = beta[0], beta[1], beta[2]
    for s in range(states):
        now[s] = final[s] / ending
    for t in range(frames - 1, -1, -1):
        emissions(scores, t, emit)
        # the posteriors of a frame sum to one, which gives back the scale of the forward pass
        mass = 0.0
        for s in range(states):
            arrived = now[s] * emit[forward[s]]
            stayed = now[s] * stay[s] * emit[loop[s]]
            before[s] = stayed
            arriving[s] = arrived
            mass += arrived * entered[t, s] + stayed * alpha[t, s]
        scale = 1.0 / mass
        for s in range(states):
            arrived = arriving[s]
            if arrived > 0.0:
                for edge in range(np.uintp(edge_begin[s]), np.uintp(edge_begin[s + 1])):
                    before[np.uintp(edge_source[edge])] += weight[edge] * arrived
            posteriors[t, forward[s]] += factor * (arrived * entered[t, s] * scale)
            posteriors[t, loop[s]] += factor * (
                now[s] * stay[s] * emit[loop[s]] * alpha[t, s] * scale
            )
        leaked = 0.0
        if leaks:
            for s in range(states):
                leaked += leak[s] * before[s]
        for s in range(states):
            now[s] = (before[s] + leaked) * scale
    return total


@nb.njit(cache=True, nogil=True)
def best_states(
    forward: Any, loop: Any, loop_cost: Any, edge_begin: Any, edge_source: Any, edge_cost: Any,
    final_cost: Any, scores: Any, back: Any, path: Any,
) -> float:  # fmt: skip
    """The best path's states into ``path`` (int32 [T]) and its score; −inf where there is none.

    back: int32 [T, S], scratch: the state before each.
    """
    frames, states = len(scores), len(forward)
    old = np.full(states, -np.inf)
    old[0] = 0.0
    new = np.empty(states)
    for t in range(frames):
        for s in range(states):
            score = old[s] - loop_cost[s] + scores[t, loop[s]]
            origin = s
            for edge in range(edge_begin[s], edge_begin[s + 1]):
                source = edge_source[edge]
                value = old[source] - edge_cost[edge] + scores[t, forward[s]]
                if value > score:
                    score = value
                    origin = source
            new[s] = score
            back[t, s] = origin
        old, new = new, old
    best = -np.inf
    state = -1
    for s in range(states):
        if old[s] - final_cost[s] > best:
            best = old[s] - final_cost[s]
            state = s
    if state < 0:
        return -np.inf
    for t in range(frames - 1, -1, -1):
        path[t] = state
        state = back[t, state]
    return best
