"""Searching many utterances at once on a static graph, in torch tensors, on a GPU or the CPU.

Each frame takes the same few steps for all utterances together (:mod:`asr.decoder.batched_steps`):
drop what lies below the beam, follow empty arcs level by level, take the arcs into emitting states
(self-loops among them), keep the best path into each state. The best paths are those of a search of
one utterance at the same beams, and an utterance's result does not depend on which others share its
batch.

Scores are float32, relative to the best path of each utterance's frame, so that they do not drift;
the best path's own score is summed in float64. On a GPU the host waits for every list whose length
depends on the data: eight times a frame, and five times more for each level of empty arcs but the
last, which takes two. A frame takes some 360 operations, however large the batch: let it be large.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.decoder.batched_graph import PAUSE_BEGINS, UNIT_BEGINS, DeviceGraph, to_device
from asr.decoder.batched_records import UnitRecords
from asr.decoder.batched_steps import (
    Tokens,
    best_of_each,
    joined,
    lane_best,
    moved,
    moves_of,
    pruned,
    where,
)
from asr.decoder.config import DecoderConfig
from asr.decoder.path import BestPath, timed_units
from asr.decoder.records import PAUSE
from asr.errors import ModelError, UsageError
from asr.graph.static_graph import StaticGraph

SCORE_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
KEYS = 1 << 32
"""Utterances × states that can be told apart; larger batches are searched in parts."""


class BatchedDecoder:
    """A static graph on a device, ready to search batches. Immutable: threads may share it.

    Args:
        graph: the static graph.
        device: "cpu", "cuda" or "cuda:N".

    Raises:
        ModelError: a graph whose arrays do not fit together.
    """

    def __init__(self, graph: StaticGraph, device: str | torch.device = "cpu") -> None:
        self.device = torch.device(device)
        self.units = graph.units
        self.num_pdfs = graph.num_pdfs
        self._graph = to_device(graph, self.device)
        self._start = graph.start
        self._emitting = graph.emitting
        self._states = graph.states
        self._most_lanes = KEYS // graph.states

    @property
    def num_bytes(self) -> int:
        """Memory of the graph on the device."""
        return self._graph.num_bytes

    @torch.inference_mode()
    def decode(
        self,
        scores: Tensor,
        lengths: Tensor | None = None,
        config: DecoderConfig | None = None,
    ) -> list[BestPath]:
        """The best path of each utterance.

        Args:
            scores: [B, T, pdfs] log-likelihoods or chain scores (higher is better), float32,
                bfloat16 or float16; what lies behind an utterance's length is never read.
            lengths: int64 [B], frames of each utterance; None = all T.
            config: only ``beam`` and ``max_active`` count; all else is in the graph.

        Returns:
            B paths; their scores are acoustic scores less graph costs.

        Raises:
            UsageError: scores or lengths of the wrong type or shape.
            ModelError: fewer pdfs than the graph has, or scores that are not finite.
        """
        frames = _checked_lengths(scores, lengths)
        if scores.shape[2] < self.num_pdfs:
            raise ModelError(
                f"the acoustic model gave scores of shape {tuple(scores.shape)}, "
                f"the graph needs (utterances, frames, at least {self.num_pdfs})"
            )
        scores = scores.to(self.device)
        _check_finite(scores, frames)
        paths: list[BestPath] = []
        for begin in range(0, len(scores), self._most_lanes):
            part = slice(begin, begin + self._most_lanes)
            paths += _Batch(self, scores[part], frames[part], config or DecoderConfig()).run()
        return paths


class _Batch:
    """The search of one batch; utterances are *lanes*."""

    def __init__(
        self,
        decoder: BatchedDecoder,
        scores: Tensor,
        frames: NDArray[np.int64],
        config: DecoderConfig,
    ) -> None:
        self._decoder = decoder
        self._graph: DeviceGraph = decoder._graph
        self._config = config
        self._scores = scores
        self._frames = frames
        self._lanes = len(scores)
        self._lengths = torch.from_numpy(frames.astype(np.int32)).to(scores.device)
        self._records = UnitRecords(scores.device)
        # the best token's score after each lane's last frame; the tokens' own are relative to it
        self._total = torch.zeros(self._lanes, dtype=torch.float64, device=scores.device)
        self._tokens = self._first_tokens()
        self._ended = self._tokens.take(self._tokens.lane[:0])

    def run(self) -> list[BestPath]:
        """Search through all frames, then read the paths."""
        last = int(self._frames.max(initial=0))
        ends = set(self._frames.tolist())
        for frame in range(last + 1):
            if frame in ends:
                self._set_aside(self._lengths.index_select(0, self._tokens.lane) == frame)
            if self._records.crowded:
                self._compact_records()
            if frame < last:
                self._step(frame)
        return self._paths()

    def _first_tokens(self) -> Tokens:
        device = self._scores.device
        lane = torch.arange(self._lanes, dtype=torch.int32, device=device)
        none = torch.full_like(lane, -1)
        start = torch.full_like(lane, self._decoder._start)
        score = torch.zeros(self._lanes, device=device)
        return Tokens(lane, start, score, none, none, torch.zeros_like(lane))

    def _set_aside(self, over: Tensor) -> None:
        """Keep the tokens of utterances that are over for the end."""
        self._ended = joined([self._ended, self._tokens.take(where(over))])
        self._tokens = self._tokens.take(where(~over))

    def _compact_records(self) -> None:
        alive = torch.cat([self._tokens.record, self._ended.record])
        going, ended = self._records.compact(alive).tensor_split([len(self._tokens.record)])
        self._tokens = self._tokens._replace(record=going)
        self._ended = self._ended._replace(record=ended)

    def _step(self, frame: int) -> None:
        """One frame: from tokens in emitting states to tokens in emitting states."""
        arcs, beam = self._graph.emitting, self._config.beam
        tokens = self._followed(self._tokens)
        moves = moves_of(tokens, arcs)
        row = self._scores[:, frame].float()
        pdf = moves.lane * row.shape[1] + arcs.pdf.index_select(0, moves.arc)
        score = moves.score + row.flatten().index_select(0, pdf)
        best = lane_best(score, moves.lane, self._lanes)
        score -= best.index_select(0, moves.lane)
        moves = moves._replace(score=score)
        kept = where(score > -beam)
        target = arcs.target.index_select(0, moves.arc.index_select(0, kept))
        key = moves.lane.index_select(0, kept).long() * self._decoder._emitting + target
        kept = kept.index_select(0, best_of_each(key, score.index_select(0, kept)))
        arrived = self._written(moved(tokens, arcs, moves, kept))
        event = arcs.event.index_select(0, moves.arc.index_select(0, kept))
        self._tokens = self._begun(arrived, event, frame)
        self._total += torch.where(best.isfinite(), best, 0.0)

    def _followed(self, tokens: Tokens) -> Tokens:
        """The tokens within the beam and ``max_active``, and what empty arcs lead to from them."""
        graph, emitting = self._graph, self._decoder._emitting
        tokens, cutoff = pruned(tokens, self._lanes, self._config.beam, self._config.max_active)
        if not graph.depth:
            return tokens
        inner = self._decoder._states - emitting
        found = [tokens]
        waiting = self._along_empty_arcs(tokens, cutoff)
        for level in range(1, graph.depth + 1):
            here = graph.level.index_select(0, waiting.state) == level
            now = where(here)
            key = waiting.lane.index_select(0, now).long() * inner
            key += waiting.state.index_select(0, now) - emitting
            best = best_of_each(key, waiting.score.index_select(0, now))
            arrived = waiting.take(now.index_select(0, best))
            if graph.late_units:
                arrived = self._written(arrived)
            found.append(arrived)
            if level < graph.depth:
                rest = waiting.take(where(~here))
                waiting = joined([rest, self._along_empty_arcs(arrived, cutoff)])
        return joined(found)

    def _along_empty_arcs(self, tokens: Tokens, cutoff: Tensor) -> Tokens:
        moves = moves_of(tokens, self._graph.empty)
        kept = where(moves.score >= cutoff.index_select(0, moves.lane))
        return moved(tokens, self._graph.empty, moves, kept)

    def _written(self, tokens: Tokens) -> Tokens:
        """The tokens after writing down the units that they have just said."""
        said = where(tokens.unit >= 0)
        last = tokens.record.clone()
        start = tokens.start.index_select(0, said)
        last[said] = self._records.add(last[said], tokens.unit[said], start)
        return tokens._replace(record=last, unit=torch.full_like(last, -1))

    def _begun(self, tokens: Tokens, event: Tensor, frame: int) -> Tokens:
        """The tokens after the units and pauses that begin in this frame."""
        pauses = where(event == PAUSE_BEGINS)
        last = tokens.record
        pause = torch.full_like(pauses, PAUSE, dtype=torch.int32)
        last[pauses] = self._records.add(last[pauses], pause, frame)
        start = torch.where(event == UNIT_BEGINS, frame, tokens.start)
        return tokens._replace(record=last, start=start)

    def _paths(self) -> list[BestPath]:
        """The best path of each lane: one that may end here, if there is any."""
        tokens = self._followed(self._ended)
        score = tokens.score - self._graph.final_cost.index_select(0, tokens.state)
        lane = tokens.lane.long()
        ends = tokens._replace(score=score).take(best_of_each(lane, score))
        unfinished = tokens.take(best_of_each(lane, tokens.score))
        complete = ends.score.isfinite()
        both = zip(ends, unfinished, strict=True)
        best = Tokens(*(torch.where(complete, *columns) for columns in both))
        totals = (self._total + best.score).tolist()
        histories = self._records.trace(self._written(best).record)
        return [
            BestPath(timed_units(steps, int(end), self._decoder.units), total, whole)
            for steps, end, total, whole in zip(
                histories, self._frames, totals, complete.tolist(), strict=True
            )
        ]


def _checked_lengths(scores: Tensor, lengths: Tensor | None) -> NDArray[np.int64]:
    if scores.dim() != 3 or scores.dtype not in SCORE_DTYPES:
        raise UsageError(
            "the batched decoder takes scores [utterances, frames, pdfs] as float32, bfloat16 or "
            f"float16, not {scores.dtype} {tuple(scores.shape)}"
        )
    batch, frames = scores.shape[:2]
    if lengths is None:
        return np.full(batch, frames, np.int64)
    checked = lengths.cpu().numpy().astype(np.int64)
    if checked.shape != (batch,) or np.any((checked < 0) | (checked > frames)):
        raise UsageError(f"lengths must be {batch} numbers of frames from 0 to {frames}")
    return checked


def _check_finite(scores: Tensor, frames: NDArray[np.int64]) -> None:
    times = torch.arange(scores.shape[1], device=scores.device)
    inside = times < torch.from_numpy(frames).to(scores.device)[:, None]
    if bool((inside & ~scores.isfinite().all(dim=2)).any()):
        raise ModelError("the acoustic model gave scores that are not finite numbers")
