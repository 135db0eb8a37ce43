"""Mean normalisation that looks only at the past (Kaldi feat/online-feature.cc, OnlineCmvn).

Each frame is normalised by the last ``cmn_window`` frames up to itself; while these are fewer,
the speaker's earlier frames and then a corpus's make up the number.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from asr.errors import UsageError
from asr.features.cmvn import VARIANCE_FLOOR
from asr.features.deltas import full_lengths, padding_mask

PIECE = 4096  # frames worked on at once: bounds the memory that float64 totals take


@dataclass(frozen=True, slots=True)
class OnlineCmvnConfig:
    """Options of Kaldi's OnlineCmvn, names and defaults included."""

    cmn_window: int = 600
    speaker_frames: int = 600
    global_frames: int = 200
    norm_means: bool = True
    norm_vars: bool = False
    skip_dims: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.cmn_window < 1 or not 0 <= self.global_frames <= self.speaker_frames:
            raise UsageError(
                "Online CMVN needs --cmn-window >= 1 and 0 <= --global-frames <= --speaker-frames."
            )
        if self.speaker_frames > self.cmn_window:
            raise UsageError("--speaker-frames must not exceed --cmn-window.")
        if self.norm_vars and not self.norm_means:
            raise UsageError("--norm-vars=true needs --norm-means=true.")


class OnlineCmvn:
    """Online normalisation of whole batches, or frame by frame with `stream`.

    Args:
        global_stats: (2, D + 1) statistics of a corpus, as `asr.features.cmvn.cmvn_stats` makes.
        speaker_stats: (2, D + 1) statistics of what this speaker has said before.

    Raises:
        UsageError: statistics of another shape, or global ones without frames.
    """

    def __init__(
        self,
        config: OnlineCmvnConfig | None = None,
        global_stats: Tensor | None = None,
        speaker_stats: Tensor | None = None,
    ) -> None:
        self.config = config or OnlineCmvnConfig()
        for stats in (global_stats, speaker_stats):
            if stats is not None and (stats.dim() != 2 or stats.shape[0] != 2):
                raise UsageError(f"CMVN statistics are (2, dim + 1), not {tuple(stats.shape)}.")
        if global_stats is not None and not global_stats[0, -1] > 0:
            raise UsageError("The global CMVN statistics hold no frames.")
        self._speaker_stats = None if speaker_stats is None else speaker_stats.double()
        # Statistics that fill up a short window, in this order, and with how many frames at most.
        self._priors: list[tuple[Tensor, float]] = []
        if self._speaker_stats is not None and self._speaker_stats[0, -1] > 0:
            limit = min(float(self.config.speaker_frames), float(self._speaker_stats[0, -1]))
            self._priors.append((self._speaker_stats, limit))
        if global_stats is not None:
            self._priors.append((global_stats.double(), float(self.config.global_frames)))

    @torch.no_grad()
    def __call__(self, features: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Normalise (B, T, D); frames past a row's own are zero.

        Raises:
            UsageError: shapes that do not fit.
        """
        lengths = full_lengths(features, lengths)
        history = self._start(features)
        pieces = []
        for piece in features.split(PIECE, dim=1):
            out, history = self._normalise(piece, history)
            pieces.append(out)
        return torch.cat(pieces, 1).masked_fill_(padding_mask(lengths, features.shape[1]), 0.0)

    def stream(self) -> OnlineCmvnStream:
        """A normaliser of one utterance that arrives in pieces."""
        return OnlineCmvnStream(self)

    def _start(self, features: Tensor) -> Tensor:
        batch, _, dim = features.shape
        self._check_dim(dim)
        return torch.zeros(batch, 1, 2, dim + 1, dtype=torch.float64, device=features.device)

    def _check_dim(self, dim: int) -> None:
        for stats, _ in self._priors:
            if stats.shape[1] != dim + 1:
                raise UsageError(
                    f"CMVN statistics of dimension {stats.shape[1] - 1} do not fit features of "
                    f"dimension {dim}."
                )
        if any(not 0 <= skipped < dim for skipped in self.config.skip_dims):
            raise UsageError(f"--skip-dims must lie between 0 and {dim - 1}.")

    def _normalise(self, features: Tensor, history: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise (B, T, D) frames that follow ``history``.

        ``history`` holds the running totals (B, H, 2, D + 1) after each of the last H - 1 frames
        and before them; the second result is the same after this piece. As totals are carried
        on, not begun anew, pieces give the very same sums as a whole utterance.
        """
        if not features.shape[1]:
            return features.clone(), history
        totals = torch.cat([history[:, -1:], _frame_stats(features)], 1).cumsum_(1)
        totals = torch.cat([history[:, :-1], totals], 1)
        ends = torch.arange(history.shape[1], totals.shape[1], device=features.device)
        starts = (ends - self.config.cmn_window).clamp(min=0)
        stats = self._smooth(totals[:, ends] - totals[:, starts])
        out = self._apply(features, stats)
        return out, totals[:, -(self.config.cmn_window + 1) :].clone()

    def _smooth(self, stats: Tensor) -> Tensor:
        """Fill up the statistics (B, T, 2, D + 1) of short windows (SmoothOnlineCmvnStats)."""
        for prior, limit in self._priors:
            prior = prior.to(stats.device)
            missing = (self.config.cmn_window - stats[..., 0, -1]).clamp(min=0.0, max=limit)
            stats = stats + (missing / prior[0, -1])[..., None, None] * prior
        return stats

    def _apply(self, features: Tensor, stats: Tensor) -> Tensor:
        if not self.config.norm_means:
            return features.clone()
        count = stats[..., 0, -1:]
        mean = stats[..., 0, :-1] / count
        out = features.double() - mean
        if self.config.norm_vars:
            variance = (stats[..., 1, :-1] / count - mean.square()).clamp_(min=VARIANCE_FLOOR)
            out = out * variance.rsqrt_()
        skipped = list(self.config.skip_dims)
        out[..., skipped] = features[..., skipped].double()
        return out.to(features.dtype)


class OnlineCmvnStream:
    """Online normalisation of one utterance in pieces; same frames as the whole at once."""

    def __init__(self, cmvn: OnlineCmvn) -> None:
        self._cmvn = cmvn
        self._history: Tensor | None = None

    @torch.no_grad()
    def accept(self, features: Tensor) -> Tensor:
        """Normalise the next frames (T, D).

        Raises:
            UsageError: another dimension than that of the statistics.
        """
        if features.dim() != 2:
            raise UsageError(f"Expected features (frames, dim), not {tuple(features.shape)}.")
        if self._history is None:
            self._history = self._cmvn._start(features.unsqueeze(0))
        out, self._history = self._cmvn._normalise(features.unsqueeze(0), self._history)
        return out[0]

    def speaker_stats(self) -> Tensor | None:
        """Statistics for the speaker's next utterance: the given ones and all frames so far.

        None before the first frame of a speaker of whom nothing was given.
        """
        given = self._cmvn._speaker_stats
        if self._history is None:
            return given
        seen = self._history[0, -1]
        return seen.clone() if given is None else seen + given.to(seen.device)


def _frame_stats(features: Tensor) -> Tensor:
    """Statistics of each frame alone: float64 (B, T, 2, D + 1)."""
    values = features.double()
    stats = values.new_zeros(*values.shape[:2], 2, values.shape[2] + 1)
    stats[..., 0, :-1] = values
    stats[..., 1, :-1] = values.square()
    stats[..., 0, -1] = 1.0
    return stats
