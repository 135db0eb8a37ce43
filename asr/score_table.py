"""A detailed score report as text for people: one section for each question."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence

from asr.score_bootstrap import Comparison, Interval
from asr.score_report import DetailedReport, GroupCounts, PairCount

MOST_PAIRS = 8
MOST_EOJEOL = 10
MOST_EXAMPLES = 3
_NOTHING = "∅"
_LABELS = {
    "cer": "CER",
    "cer_with_spaces": "CER with spaces",
    "wer": "eojeol WER",
    "jamo_error_rate": "jamo error rate",
    "spacing_f1": "spacing F1",
}


def report_table(report: DetailedReport) -> str:
    """The whole report, sections separated by an empty line."""
    sections = [
        report.scores.as_table().splitlines() + list(_removed(report.removed)),
        ["95% confidence intervals, utterances drawn anew:", *_intervals(report.intervals)],
        list(_groups(report)),
        list(_eojeol(report)),
        list(_worst(report)),
    ]
    return "\n\n".join("\n".join(section) for section in sections if section)


def comparison_table(comparisons: Mapping[str, Comparison]) -> str:
    """The second system beside the first, a rate a line."""
    rows = [("", "first", "second", "difference", "95% interval", "second better", "p")]
    for name, one in comparisons.items():
        better = "" if one.better is None else f"{one.better:.1%} of draws"
        p_value = "" if one.p_value is None else f"{one.p_value:.4f}"
        rows.append((
            _LABELS[name], f"{one.first:.2%}", f"{one.second:.2%}", f"{one.difference:+.2%}",
            _interval(one.interval, "+.2%"), better, p_value,
        ))  # fmt: skip
    return "\n".join(["the second system beside the first, on the same draws:", *_columns(rows)])


def _intervals(intervals: Mapping[str, Interval | None]) -> Iterator[str]:
    for name, interval in intervals.items():
        text = _interval(interval, ".2%") or "none for a single utterance"
        yield f"  {_padded(_LABELS[name], 16)}{text}"


def _interval(interval: Interval | None, form: str) -> str:
    return f"{interval.low:{form}} to {interval.high:{form}}" if interval else ""


def _removed(removed: Sequence[Mapping[str, int]]) -> Iterator[str]:
    for side, counts in zip(("references", "hypotheses"), removed, strict=True):
        if counts:
            shown = " ".join(f"{sign}×{count}" for sign, count in list(counts.items())[:MOST_PAIRS])
            more = " …" if len(counts) > MOST_PAIRS else ""
            yield f"removed from the {side}: {sum(counts.values())} characters ({shown}{more})"


def _groups(report: DetailedReport) -> Iterator[str]:
    total = report.scores.jamo.edits
    yield f"jamo errors by group, {total} in all, each in one group:"
    for one in report.groups:
        if one.edits:
            yield from _group(one, total)


def _group(one: GroupCounts, total: int) -> Iterator[str]:
    share = one.edits / total
    yield f"  {_padded(one.group.value, 10)}{one.edits:6} {share:6.1%}  {_pairs(one.pairs)}"
    examples = [pair.example for pair in one.pairs[:MOST_EXAMPLES] if pair.example]
    for example in examples:
        yield f"      {example.id}: {example.reference} → {example.hypothesis}"


def _pairs(pairs: Sequence[PairCount]) -> str:
    shown = [f"{_pair(pair)} {pair.count}" for pair in pairs[:MOST_PAIRS]]
    return ", ".join(shown) + (" …" if len(pairs) > MOST_PAIRS else "")


def _pair(pair: PairCount) -> str:
    return f"{pair.reference or _NOTHING}→{pair.hypothesis or _NOTHING}"


def _eojeol(report: DetailedReport) -> Iterator[str]:
    errors = report.eojeol
    for title, pairs, side in (
        ("taken for another", errors.substitutions, ""),
        ("added", errors.insertions, "hypothesis"),
        ("lost", errors.deletions, "reference"),
    ):
        if pairs:
            shown = [
                f"{getattr(pair, side) if side else _pair(pair)} {pair.count}"
                for pair in pairs[:MOST_EOJEOL]
            ]
            yield f"eojeol {title}: {', '.join(shown)}{' …' if len(pairs) > MOST_EOJEOL else ''}"


def _worst(report: DetailedReport) -> Iterator[str]:
    if not report.worst:
        return
    yield "worst utterances, by CER:"
    for one in report.worst:
        rate = "no reference" if one.rate is None else f"{one.rate:.1%}"
        yield f"  {one.id}  {rate}  ({one.edits} edits, {one.characters} characters)"
        yield f"      ref: {one.reference}"
        yield f"      hyp: {one.hypothesis}"


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells: Iterable[str] = map(_padded, row, widths)
        yield "  " + "  ".join(cells).rstrip()


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Columns of a terminal: Hangul takes two."""
    return sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in text)
