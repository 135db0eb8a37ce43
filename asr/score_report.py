"""All that `asr score --report` tells: the scores, how sure they are, and what went wrong where."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from asr.errors import DataError
from asr.hangul.normalize import scoring_text
from asr.score import Alignments, ScoreReport, TextPairs, align
from asr.score_bootstrap import BootstrapConfig, Comparison, Interval, Ratios, compare, intervals
from asr.score_groups import (
    GROUP_RULES,
    Block,
    Classifier,
    Confusion,
    Group,
    SpacedText,
)
from asr.score_jamo import align_jamo, letters_of

if TYPE_CHECKING:
    from jiwer import AlignmentChunk

RATES = ("cer", "cer_with_spaces", "wer", "jamo_error_rate", "spacing_f1")
"""The five rates by name, in the order of every table; lower is better but for the last."""
LOWER_IS_BETTER = [name != "spacing_f1" for name in RATES]


@dataclass(frozen=True, slots=True)
class ReportConfig:
    """How many of the worst utterances are listed, and how intervals are drawn."""

    worst: int = 10
    bootstrap: BootstrapConfig = field(default_factory=BootstrapConfig)


@dataclass(frozen=True, slots=True)
class UtteranceScore:
    """One utterance: character edits (spaces removed) and both normalised texts."""

    id: str
    edits: int
    characters: int
    reference: str
    hypothesis: str

    @property
    def rate(self) -> float | None:
        """None where the reference is empty."""
        return self.edits / self.characters if self.characters else None

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "rate": self.rate}


@dataclass(frozen=True, slots=True)
class Example:
    """Where an error stands: the utterance, and both sides with the place in brackets."""

    id: str
    reference: str
    hypothesis: str


@dataclass(frozen=True, slots=True)
class PairCount:
    """``reference`` was taken for ``hypothesis`` ("" where lost or added) ``count`` times."""

    reference: str
    hypothesis: str
    count: int
    example: Example | None = None


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """One group of jamo errors: how many jamo edits at how many places, and which, often first."""

    group: Group
    edits: int
    places: int
    pairs: tuple[PairCount, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "rule": GROUP_RULES[self.group],
            "edits": self.edits,
            "places": self.places,
            "pairs": [asdict(pair) for pair in self.pairs],
        }


@dataclass(frozen=True, slots=True)
class EojeolErrors:
    """Whole eojeol: which were taken for which, added and lost, the most frequent first."""

    substitutions: tuple[PairCount, ...]
    insertions: tuple[PairCount, ...]
    deletions: tuple[PairCount, ...]

    def as_dict(self) -> dict[str, Any]:
        return {
            "substitutions": [_plain(pair) for pair in self.substitutions],
            "insertions": [_plain(pair) for pair in self.insertions],
            "deletions": [_plain(pair) for pair in self.deletions],
        }


def _plain(pair: PairCount) -> dict[str, Any]:
    return {name: value for name, value in asdict(pair).items() if name != "example"}


@dataclass(frozen=True, slots=True)
class DetailedReport:
    """The scores with their intervals (95%, by utterance) and the errors behind them.

    groups: every `Group`, in order; their edits add up to ``scores.jamo.edits``. removed:
    characters that normalisation took off the references and the hypotheses, with counts.
    """

    scores: ScoreReport
    intervals: dict[str, Interval | None]
    worst: tuple[UtteranceScore, ...]
    eojeol: EojeolErrors
    groups: tuple[GroupCounts, ...]
    removed: tuple[dict[str, int], dict[str, int]]

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON; the scores as `ScoreReport.as_dict` has them."""
        return {
            **self.scores.as_dict(),
            "confidence_95": {
                name: interval.as_dict() if interval else None
                for name, interval in self.intervals.items()
            },
            "removed": dict(zip(("reference", "hypothesis"), self.removed, strict=True)),
            "worst": [one.as_dict() for one in self.worst],
            "eojeol_errors": self.eojeol.as_dict(),
            "jamo_confusions": {one.group.value: one.as_dict() for one in self.groups},
        }


def detailed_report(pairs: TextPairs, config: ReportConfig | None = None) -> DetailedReport:
    """Score utterances and say what went wrong; raises DataError as `asr.score.score` does."""
    config = config or ReportConfig()
    alignments = align(pairs.references, pairs.hypotheses)
    found = intervals(ratios(alignments), config.bootstrap)
    return DetailedReport(
        scores=alignments.report(),
        intervals=dict(zip(RATES, found, strict=True)),
        worst=_worst(pairs.names, alignments, config.worst),
        eojeol=_eojeol_errors(alignments),
        groups=jamo_confusions(pairs.names, alignments),
        removed=(_removed(pairs.references), _removed(pairs.hypotheses)),
    )


def compare_systems(
    first: TextPairs, second: TextPairs, config: BootstrapConfig | None = None
) -> dict[str, Comparison]:
    """Compare two systems' hypotheses of the same references, rate by rate (`RATES`).

    Raises DataError when the two are not of the same utterances, and as `asr.score.score` does.
    """
    texts = dict(zip(second.names, second.hypotheses, strict=True))
    if texts.keys() != set(first.names):
        raise DataError("The two systems were not run on the same utterances: give one text each.")
    one = ratios(align(first.references, first.hypotheses))
    other = ratios(align(first.references, [texts[name] for name in first.names]))
    return dict(zip(RATES, compare(one, other, LOWER_IS_BETTER, config), strict=True))


def ratios(alignments: Alignments) -> Ratios:
    """The five rates of `RATES` as edits over tokens of each utterance."""
    parts, wholes = [], []
    for output in (
        alignments.characters,
        alignments.characters_with_spaces,
        alignments.words,
        alignments.jamo,
    ):
        parts.append([_edits(chunks) for chunks in output.alignments])
        wholes.append([len(tokens) for tokens in output.references])
    spacing = alignments.spacing()
    parts.append([2 * one.agreed for one in spacing])
    wholes.append([2 * one.agreed + one.missing + one.extra for one in spacing])
    return Ratios(np.array(parts, np.float64), np.array(wholes, np.float64))


def _edits(chunks: Iterable[AlignmentChunk]) -> int:
    return sum(
        max(chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx)
        for chunk in chunks
        if chunk.type != "equal"
    )


def _worst(names: Sequence[str], alignments: Alignments, most: int) -> tuple[UtteranceScore, ...]:
    """Utterances with errors, the highest rate first, among equals the one with most edits."""
    scores = [
        UtteranceScore(name, _edits(chunks), len(ref.replace(" ", "")), ref, hyp)
        for name, chunks, ref, hyp in zip(
            names,
            alignments.characters.alignments,
            alignments.references,
            alignments.hypotheses,
            strict=True,
        )
    ]
    wrong = [one for one in scores if one.edits]
    wrong.sort(key=lambda one: (one.edits / max(one.characters, 1), one.edits), reverse=True)
    return tuple(wrong[:most])


def _eojeol_errors(alignments: Alignments) -> EojeolErrors:
    counts: dict[str, Counter[tuple[str, str]]] = {
        kind: Counter() for kind in ("substitute", "insert", "delete")
    }
    output = alignments.words
    for refs, hyps, chunks in zip(
        output.references, output.hypotheses, output.alignments, strict=True
    ):
        for chunk in chunks:
            if chunk.type == "equal":
                continue
            left = refs[chunk.ref_start_idx : chunk.ref_end_idx]
            right = hyps[chunk.hyp_start_idx : chunk.hyp_end_idx]
            length = max(len(left), len(right))
            left, right = left or [""] * length, right or [""] * length
            counts[chunk.type].update(zip(left, right, strict=True))
    return EojeolErrors(*(_ranked(counts[kind]) for kind in ("substitute", "insert", "delete")))


def _ranked(
    counts: Counter[tuple[str, str]], examples: Mapping[tuple[str, str], Example] | None = None
) -> tuple[PairCount, ...]:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        PairCount(*pair, count, examples[pair] if examples else None) for pair, count in ranked
    )


def jamo_confusions(names: Sequence[str], alignments: Alignments) -> tuple[GroupCounts, ...]:
    """Every group with its counts; a pair's example is where least else is wrong beside it."""
    found: dict[Group, list[tuple[int, Confusion]]] = {group: [] for group in Group}
    texts = list(
        zip(
            alignments.references,
            alignments.hypotheses,
            alignments.jamo.alignments,
            strict=True,
        )
    )
    for number, (ref, hyp, chunks) in enumerate(texts):
        for one in _confusions(ref, hyp, chunks):
            found[one.group].append((number, one))

    def examples(places: list[tuple[int, Confusion]]) -> dict[tuple[str, str], Example]:
        best: dict[tuple[str, str], tuple[int, Confusion]] = {}
        for number, one in places:
            known = best.get((one.ref, one.hyp))
            if known is None or len(one.block.edits) < len(known[1].block.edits):
                best[one.ref, one.hyp] = (number, one)
        return {
            pair: _example(names[number], *texts[number][:2], one.block)
            for pair, (number, one) in best.items()
        }

    return tuple(
        GroupCounts(
            group,
            sum(one.edits for _, one in places),
            len(places),
            _ranked(Counter((one.ref, one.hyp) for _, one in places), examples(places)),
        )
        for group, places in found.items()
    )


def _confusions(ref: str, hyp: str, chunks: Sequence[AlignmentChunk]) -> Iterable[Confusion]:
    if all(chunk.type == "equal" for chunk in chunks):
        return ()
    ref_letters, hyp_letters = letters_of(ref.replace(" ", "")), letters_of(hyp.replace(" ", ""))
    pairs = align_jamo(ref_letters, hyp_letters, chunks)
    return Classifier(ref, hyp, ref_letters, hyp_letters).confusions(pairs)


def _example(name: str, ref: str, hyp: str, block: Block) -> Example:
    return Example(name, _marked(ref, *block.ref), _marked(hyp, *block.hyp))


_CONTEXT = 16


def _marked(text: str, begin: int, end: int) -> str:
    """The place in brackets, between what stands around it."""
    spaced = SpacedText(text)
    before, after = spaced.around(begin, end, _CONTEXT)
    return f"{before}[{spaced.part(begin, end)}]{after}"


def _removed(texts: Iterable[str]) -> dict[str, int]:
    """Characters other than white space that normalisation deletes, the most frequent first."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(unicodedata.normalize("NFC", "".join(text.split())))
    gone = {character: n for character, n in counts.most_common() if not scoring_text(character)}
    return gone
