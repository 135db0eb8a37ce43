"""The inner loops over Gaussians (numba). Arrays are checked by their callers."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

#: exp() of less than this adds nothing to a float32 sum that holds a 1.
_NEGLIGIBLE = -18.0


@nb.njit(cache=True, nogil=True, fastmath=True)
def log_sums(scores: Any, begin: Any, out: Any) -> None:
    """log Σ exp over each pdf's Gaussians: ``scores`` float32 [T, G] into ``out`` [T, P]."""
    for t in range(len(scores)):
        row = scores[t]
        for pdf in range(len(begin) - 1):
            first, last = begin[pdf], begin[pdf + 1]
            best = row[first]
            for g in range(first + 1, last):
                best = max(best, row[g])
            total = np.float32(0.0)
            for g in range(first, last):
                below = row[g] - best
                if below > _NEGLIGIBLE:
                    total += np.exp(below)
            out[t, pdf] = best + np.log(total)


@nb.njit(cache=True, nogil=True, fastmath=True)
def component_posteriors(
    feature: Any, pdf: int, begin: Any, gconst: Any, scaled_mean: Any, inv_var: Any, out: Any
) -> float:
    """Posteriors of a pdf's Gaussians for a frame into ``out``; the pdf's log-likelihood."""
    first = begin[pdf]
    count = begin[pdf + 1] - first
    best = -np.inf
    for k in range(count):
        g = first + k
        score = np.float64(gconst[g])
        for d in range(len(feature)):
            x = np.float64(feature[d])
            score += x * (scaled_mean[g, d] - 0.5 * x * inv_var[g, d])
        out[k] = score
        best = max(best, score)
    total = 0.0
    for k in range(count):
        out[k] = np.exp(out[k] - best)
        total += out[k]
    for k in range(count):
        out[k] /= total
    return float(best + np.log(total))


@nb.njit(cache=True, nogil=True, fastmath=True)
def accumulate(
    features: Any, others: Any, pdfs: Any, weights: Any, begin: Any, gconst: Any, scaled_mean: Any,
    inv_var: Any, occupancy: Any, sums: Any, squares: Any,
) -> float:  # fmt: skip
    """Add each frame to the statistics of the Gaussians of its pdf; Σ weighted log-likelihood.

    Args:
        features: float32 [T, D], what posteriors are computed from; others: float32 [T, E], what is
            summed.
        pdfs: int32 [T]; weights: float32 [T], frames of weight 0 are passed over.
        begin, gconst, scaled_mean, inv_var: of :class:`asr.gmm.diag_gmm.DiagGmms`.
        occupancy: float64 [G]; sums, squares: float64 [G, E].
    """
    most = 0
    for pdf in range(len(begin) - 1):
        most = max(most, begin[pdf + 1] - begin[pdf])
    posterior = np.empty(most, np.float64)
    total = 0.0
    for t in range(len(features)):
        weight = np.float64(weights[t])
        if weight == 0.0:
            continue
        pdf = pdfs[t]
        total += weight * component_posteriors(
            features[t], pdf, begin, gconst, scaled_mean, inv_var, posterior
        )
        for k in range(begin[pdf + 1] - begin[pdf]):
            g = begin[pdf] + k
            part = weight * posterior[k]
            if part < 1e-10:
                continue
            occupancy[g] += part
            for d in range(others.shape[1]):
                x = np.float64(others[t, d])
                sums[g, d] += part * x
                squares[g, d] += part * x * x
    return total


@nb.njit(cache=True, nogil=True, fastmath=True)
def precision_terms(
    features: Any, pdfs: Any, begin: Any, gconst: Any, scaled_mean: Any, inv_var: Any,
    target_scaled_mean: Any, target_inv_var: Any, precision: Any, pull: Any,
) -> None:  # fmt: skip
    """Σ posterior / variance and Σ posterior · mean / variance of each frame and dimension.

    Posteriors come from one set of Gaussians (``features``), what is summed from another one that
    is numbered alike. precision, pull: float32 [T, D].
    """
    most = 0
    for pdf in range(len(begin) - 1):
        most = max(most, begin[pdf + 1] - begin[pdf])
    posterior = np.empty(most, np.float64)
    for t in range(len(features)):
        pdf = pdfs[t]
        component_posteriors(features[t], pdf, begin, gconst, scaled_mean, inv_var, posterior)
        for d in range(precision.shape[1]):
            precision[t, d] = 0.0
            pull[t, d] = 0.0
        for k in range(begin[pdf + 1] - begin[pdf]):
            g = begin[pdf] + k
            part = np.float32(posterior[k])
            for d in range(precision.shape[1]):
                precision[t, d] += part * target_inv_var[g, d]
                pull[t, d] += part * target_scaled_mean[g, d]
