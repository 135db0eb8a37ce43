"""The lattice of an utterance: every text the search kept, with exact scores.

The search leaves :class:`~asr.decoder.records.Records`; pruned, they are the lattice. From it come
the N best texts, posteriors of what was said, and what another language model would have chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from asr.decoder import lattice_kernels
from asr.decoder.language import LmArrays, UnitTable
from asr.decoder.path import DecodedUnit, timed_units
from asr.decoder.records import PAUSE, UNION, Records
from asr.errors import ModelError, UsageError

if TYPE_CHECKING:
    from asr.decoder.search import Decoder

SLACK_FRAMES = 2
"""Units that start within so many frames of each other are the same unit for a confidence."""

_NO_LM = LmArrays(
    np.zeros(2, np.int32), np.zeros(0, np.uint16), np.zeros(0, np.int32),
    np.zeros(0, np.float32), np.zeros(1, np.int32), np.zeros(1, np.float32),
    np.zeros(1, np.int32), np.zeros((1, 1), np.uint8), np.zeros(1, np.uint8),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """One text of a lattice: its units, and its scores (natural logs).

    score: all together: ``acoustic`` (with pronunciation costs) + scale · ``lm`` + ``bonus``.
    lm: log-probability of the units and the end of sentence, unscaled.
    bonus: unit and space bonuses and what user words add.
    """

    units: tuple[DecodedUnit, ...]
    score: float
    acoustic: float
    lm: float
    bonus: float


@dataclass(frozen=True, slots=True, eq=False)
class Endings:
    """The ways in which an utterance may end, best first.

    record: int32 [F], the last record; score: float64 [F], of the whole path; lm: float32 [F],
    log-probability of the end of sentence, part of the score.
    """

    record: NDArray[np.int32]
    score: NDArray[np.float64]
    lm: NDArray[np.float32]


class Lattice:
    """All paths within ``beam`` (nats) of the best one. Immutable.

    Args:
        records: what the search wrote; the first ``made`` count.
        endings: how the utterance may end. There must be one at least.
        frames: how long the utterance is.
        units: the language model's units.
        lm_scale: the language model's weight in the scores.
        complete: false where no path could end properly and unfinished ones were taken.
    """

    def __init__(
        self,
        records: Records,
        made: int,
        endings: Endings,
        frames: int,
        units: UnitTable,
        lm_scale: float,
        beam: float,
        complete: bool = True,
    ) -> None:
        order = np.argsort(-endings.score, kind="stable")
        order = order[endings.score[order] >= endings.score[order[0]] - beam]
        self.records, ends = lattice_kernels.prune(
            records, made, endings.record[order], endings.score[order], beam
        )
        self.endings = Endings(ends, endings.score[order], endings.lm[order])
        self.frames = frames
        self.complete = complete
        self.beam = beam
        self._units = units
        self._lm_scale = lm_scale

    def __len__(self) -> int:
        """How many records it has."""
        return len(self.records.unit)

    def nbest(self, count: int) -> list[Hypothesis]:
        """The ``count`` best different texts, or all there are, best first; exact scores.

        Takes 24 bytes a text and record. Raises UsageError for fewer than one text.
        """
        return self._best(count, None, 0, 0.0)

    def rescored(
        self, decoder: Decoder, lm_scale: float | None = None, count: int = 1, width: int = 30
    ) -> list[Hypothesis]:
        """The best texts when another language model over the same units takes this one's place.

        Args:
            decoder: whose language model to use.
            lm_scale: its weight; None for the lattice's own.
            width: texts kept at each place of the lattice; what is worse there is lost.

        Raises:
            ModelError: the other language model has other units.
            UsageError: fewer than one text.
        """
        if decoder.words != self._units.units:
            raise ModelError("the other language model has other units; it cannot rescore these")
        scale = self._lm_scale if lm_scale is None else lm_scale
        lm = decoder.language
        found = self._best(max(count, width), lm.arrays, lm.start_state, scale, lm.eos)
        return found[:count]

    def _best(
        self,
        width: int,
        lm: LmArrays | None,
        lm_start: int,
        new_scale: float,
        eos: int = 0,
    ) -> list[Hypothesis]:
        if width < 1:
            raise UsageError(f"a list of {width} texts makes no sense; ask for at least 1")
        records, ends = self.records, self.endings
        table = self._units
        arrays = lm if lm is not None else _NO_LM
        lists = lattice_kernels.kbest(
            records, width, self.beam, table.begin, table.symbol,
            arrays, lm_start, lm is not None, self._lm_scale, new_scale,
        )  # fmt: skip
        cost, text, _, state, counts = lists
        found: dict[int, tuple[float, float, int, int]] = {}
        for i, r in enumerate(ends.record.tolist()):
            for k in range(int(counts[r])):
                score, end_lm = float(ends.score[i] - cost[r, k]), float(ends.lm[i])
                if lm is not None:
                    logp, _ = lattice_kernels.lm_step(lm, int(state[r, k]), eos)
                    score += new_scale * logp - self._lm_scale * end_lm
                    end_lm = float(logp)
                key = int(text[r, k])
                if key not in found or score > found[key][0]:
                    found[key] = (score, end_lm, r, k)
        chosen = sorted(found.values(), key=lambda item: -item[0])[:width]
        scale = self._lm_scale if lm is None else new_scale
        return [self._hypothesis(entry, lists[2], lm, lm_start, scale) for entry in chosen]

    def _hypothesis(
        self,
        entry: tuple[float, float, int, int],
        back: NDArray[np.int32],
        lm: LmArrays | None,
        lm_start: int,
        scale: float,
    ) -> Hypothesis:
        score, total_lm, r, k = entry
        records, path = self.records, []
        while r > 0:
            step = int(back[r, k])
            if records.unit[r] != UNION:
                path.append(r)
            r = int(records.other[r] if step & 1 else records.previous[r])
            k = step >> 1
        path.reverse()
        said = [r for r in path if records.unit[r] != PAUSE]
        if lm is None:
            total_lm += float(records.lm[said].sum(dtype=np.float64))
        else:
            state = lm_start
            for r in said:
                logp, state = lattice_kernels.lm_step(lm, state, int(records.unit[r]))
                total_lm += logp
        bonus = float(records.bonus[said].sum(dtype=np.float64))
        steps = [(int(records.unit[r]), int(records.start[r])) for r in path]
        units = timed_units(steps, self.frames, self._units.units)
        return Hypothesis(units, score, score - scale * total_lm - bonus, total_lm, bonus)

    def posteriors(self, scale: float = 1.0) -> NDArray[np.float64]:
        """The share of paths through each record: float64 [N]; paths weigh exp(scale · score)."""
        found: NDArray[np.float64] = lattice_kernels.posteriors(
            self.records, self.endings.record, self.endings.score, scale
        )
        return found

    def unit_posteriors(
        self, units: Sequence[DecodedUnit], scale: float = 1.0
    ) -> NDArray[np.float64]:
        """How sure each unit of a path is, in [0, 1]: the share of paths that say it there too."""
        found: NDArray[np.float64] = lattice_kernels.agreement(
            self.records,
            self.posteriors(scale),
            np.array([unit.id for unit in units], np.int32),
            np.array([unit.start for unit in units], np.int32),
            np.array([unit.end for unit in units], np.int32),
            SLACK_FRAMES,
        )
        return found
