"""Error rates of recognised Korean: characters, eojeol, jamo, and the placing of spaces.

Counting is by Levenshtein alignment (jiwer), summed over the utterances before dividing. Both sides
pass through `asr.hangul.normalize.scoring_text` first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from asr.errors import DataError
from asr.hangul.jamo import to_jamo
from asr.hangul.normalize import scoring_text
from asr.sound_names import RAW_SUFFIXES, SOUND_SUFFIXES

if TYPE_CHECKING:
    import jiwer

NORMALISATION = "NFC; Hangul syllables, Latin letters, digits and single spaces kept"
# Syllables and every kind of jamo: text in NFD is Hangul too.
_HANGUL = re.compile("[\u1100-\u11ff\u3131-\u318e\ua960-\ua97f\uac00-\ud7ff\uffa0-\uffdc]")


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """Edits between hypothesis and reference, in ``unit``; ``tokens`` counts the reference's."""

    unit: str
    substitutions: int
    deletions: int
    insertions: int
    tokens: int

    @property
    def edits(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """Edits over reference tokens; above 1 when much is inserted."""
        return self.edits / self.tokens

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "edits": self.edits, "rate": self.rate}


@dataclass(frozen=True, slots=True)
class SpacingCounts:
    """Spaces at the places between two adjacent characters that both sides have alike."""

    agreed: int
    missing: int
    extra: int
    places: int

    def __add__(self, other: SpacingCounts) -> SpacingCounts:
        return SpacingCounts(
            self.agreed + other.agreed,
            self.missing + other.missing,
            self.extra + other.extra,
            self.places + other.places,
        )

    @property
    def precision(self) -> float:
        return _fraction(self.agreed, self.agreed + self.extra)

    @property
    def recall(self) -> float:
        return _fraction(self.agreed, self.agreed + self.missing)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; 1 when neither side has a space."""
        return _fraction(2 * self.agreed, 2 * self.agreed + self.missing + self.extra)

    def as_dict(self) -> dict[str, Any]:
        rates = {"precision": self.precision, "recall": self.recall, "f1": self.f1}
        return {**asdict(self), **rates}


@dataclass(frozen=True, slots=True)
class ScoreReport:
    """The five scores of a set of utterances; `cer` (spaces removed) is the headline."""

    utterances: int
    cer: ErrorCounts
    cer_with_spaces: ErrorCounts
    wer: ErrorCounts
    jamo: ErrorCounts
    spacing: SpacingCounts
    normalisation: str = NORMALISATION

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        return {
            "utterances": self.utterances,
            "cer": self.cer.as_dict(),
            "cer_with_spaces": self.cer_with_spaces.as_dict(),
            "wer": self.wer.as_dict(),
            "jamo_error_rate": self.jamo.as_dict(),
            "spacing": self.spacing.as_dict(),
            "normalisation": self.normalisation,
        }

    def as_table(self) -> str:
        """A text table, one score a line, with the counts behind it."""
        rows = [
            ("CER", self.cer),
            ("CER with spaces", self.cer_with_spaces),
            ("eojeol WER", self.wer),
            ("jamo error rate", self.jamo),
        ]
        lines = [
            f"{name:<16}{counts.rate:8.2%}  {counts.edits}/{counts.tokens} {counts.unit}"
            f" (sub {counts.substitutions}, del {counts.deletions}, ins {counts.insertions})"
            for name, counts in rows
        ]
        s = self.spacing
        lines.append(
            f"{'spacing F1':<16}{s.f1:8.2%}  precision {s.precision:.2%}, recall {s.recall:.2%}"
            f" (agreed {s.agreed}, missing {s.missing}, extra {s.extra} at {s.places} places)"
        )
        plural = "" if self.utterances == 1 else "s"
        lines.append(f"{self.utterances} utterance{plural}; both sides: {self.normalisation}")
        return "\n".join(lines)


def _fraction(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def score(references: Sequence[str], hypotheses: Sequence[str]) -> ScoreReport:
    """Scores of ``hypotheses`` against ``references``, pair by pair in order.

    Raises DataError when the numbers of texts differ or no reference has a character to count.

    >>> score(["오늘 날씨가 좋다"], ["오늘날씨가 좋아"]).cer.rate
    0.14285714285714285
    """
    return align(references, hypotheses).report()


@dataclass(frozen=True, slots=True)
class Alignments:
    """jiwer's alignments of normalised texts in every unit; utterance i is item i of each."""

    references: list[str]
    hypotheses: list[str]
    characters: jiwer.CharacterOutput
    characters_with_spaces: jiwer.CharacterOutput
    words: jiwer.WordOutput
    jamo: jiwer.CharacterOutput

    def report(self) -> ScoreReport:
        """The five scores, summed over the utterances."""
        return ScoreReport(
            utterances=len(self.references),
            cer=_counts("characters without spaces", self.characters),
            cer_with_spaces=_counts("characters with spaces", self.characters_with_spaces),
            wer=_counts("eojeol", self.words),
            jamo=_counts("jamo without spaces", self.jamo),
            spacing=sum(self.spacing(), start=SpacingCounts(0, 0, 0, 0)),
        )

    def spacing(self) -> list[SpacingCounts]:
        """The spaces of each utterance."""
        return [
            _spacing(ref, hyp, chunks)
            for ref, hyp, chunks in zip(
                self.references, self.hypotheses, self.characters.alignments, strict=True
            )
        ]


def align(references: Sequence[str], hypotheses: Sequence[str]) -> Alignments:
    """Normalise the texts and align them pair by pair; raises DataError as `score` does."""
    if len(references) != len(hypotheses):
        raise DataError(
            f"{len(references)} references but {len(hypotheses)} hypotheses: give one for each."
        )
    refs = [scoring_text(text) for text in references]
    hyps = [scoring_text(text) for text in hypotheses]
    if not any(refs):
        raise DataError("The references hold no Hangul, Latin letter or digit to score against.")
    bare_refs = [text.replace(" ", "") for text in refs]
    bare_hyps = [text.replace(" ", "") for text in hyps]
    return Alignments(
        references=refs,
        hypotheses=hyps,
        characters=_align_characters(bare_refs, bare_hyps),
        characters_with_spaces=_align_characters(refs, hyps),
        words=_align_words(refs, hyps),
        jamo=_align_characters(list(map(to_jamo, bare_refs)), list(map(to_jamo, bare_hyps))),
    )


def _align_characters(references: list[str], hypotheses: list[str]) -> jiwer.CharacterOutput:
    import jiwer

    characters = jiwer.ReduceToListOfListOfChars()
    return jiwer.process_characters(references, hypotheses, characters, characters)


def _align_words(references: list[str], hypotheses: list[str]) -> jiwer.WordOutput:
    import jiwer

    words = jiwer.ReduceToListOfListOfWords()
    return jiwer.process_words(references, hypotheses, words, words)


def _counts(unit: str, alignment: jiwer.CharacterOutput | jiwer.WordOutput) -> ErrorCounts:
    tokens = sum(map(len, alignment.references))
    return ErrorCounts(
        unit, alignment.substitutions, alignment.deletions, alignment.insertions, tokens
    )


def _spacing(ref: str, hyp: str, chunks: list[jiwer.AlignmentChunk]) -> SpacingCounts:
    """Compare spaces inside the stretches where the aligned characters are equal.

    A stretch of n equal characters has n-1 places between them; a place beside a wrong, missing
    or added character is not judged.
    """
    agreed = missing = extra = places = 0
    ref_spaces, hyp_spaces = _space_positions(ref), _space_positions(hyp)
    for chunk in chunks:
        if chunk.type != "equal":
            continue
        for offset in range(1, chunk.ref_end_idx - chunk.ref_start_idx):
            in_ref = chunk.ref_start_idx + offset in ref_spaces
            in_hyp = chunk.hyp_start_idx + offset in hyp_spaces
            places += 1
            agreed += in_ref and in_hyp
            missing += in_ref and not in_hyp
            extra += in_hyp and not in_ref
    return SpacingCounts(agreed, missing, extra, places)


def _space_positions(text: str) -> set[int]:
    """Numbers of characters (spaces not counted) before each space of ``text``."""
    lengths = [len(word) for word in text.split(" ")]
    return {sum(lengths[:count]) for count in range(1, len(lengths))}


@dataclass(frozen=True, slots=True)
class TextTable:
    """Texts by utterance id; ``has_ids`` is false when the ids are line numbers of plain text."""

    texts: dict[str, str]
    has_ids: bool

    def without_suffixes(self) -> TextTable:
        """With ids that are names of sound files as `asr transcribe` has them: a for a.flac."""
        known = SOUND_SUFFIXES | RAW_SUFFIXES
        texts = {}
        for name, text in self.texts.items():
            suffix = PurePath(name).suffix
            texts[name.removesuffix(suffix) if suffix.lower() in known else name] = text
        return TextTable(texts, self.has_ids) if len(texts) == len(self.texts) else self


def read_text_table(path: str | Path) -> TextTable:
    """Read Kaldi's ``text`` format (``<id> <text>`` a line) or plain lines, one text a line.

    A file is a table when the first field of every line is free of Hangul; an id alone on its line
    has an empty text, and empty lines are skipped. In plain text an empty line is an empty text.
    Raises DataError for a missing or empty file, broken UTF-8, or an id that occurs twice.
    """
    lines = _decoded_lines(Path(path))
    fields = [line.split(maxsplit=1) for line in lines if line.strip()]
    if not fields:
        raise DataError(f"{path} has no text: give a file with one utterance a line.")
    if _HANGUL.search("".join(field[0] for field in fields)):
        return TextTable({str(n): line for n, line in enumerate(lines, start=1)}, has_ids=False)
    texts: dict[str, str] = {}
    for name, *rest in fields:
        if name in texts:
            raise DataError(f"{path} has the id {name!r} twice: each utterance must come once.")
        texts[name] = rest[0] if rest else ""
    return TextTable(texts, has_ids=True)


def _decoded_lines(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{path} line {line} is not UTF-8: convert the file.") from error
    return [line.rstrip("\r") for line in text.removesuffix("\n").split("\n")]


@dataclass(frozen=True, slots=True)
class TextPairs:
    """Utterances of two files, matched: ids (or line numbers), references and hypotheses."""

    names: list[str]
    references: list[str]
    hypotheses: list[str]


def read_pairs(reference: str | Path, hypothesis: str | Path) -> TextPairs:
    """Read two files of `read_text_table` and match their utterances by id or by line number.

    Ids that are names of sound files match those without the suffix (a.flac, a); they are named as
    in the reference.
    Raises DataError as `read_text_table` does, and when the utterances differ.
    """
    refs, hyps = read_text_table(reference), read_text_table(hypothesis)
    if refs.has_ids != hyps.has_ids:
        plain = hypothesis if refs.has_ids else reference
        raise DataError(f"{plain} has no utterance ids but the other file does: use one format.")
    names = list(refs.texts)
    strays = sorted(refs.texts.keys() ^ hyps.texts.keys())
    if strays and refs.has_ids:
        refs, hyps = refs.without_suffixes(), hyps.without_suffixes()
        strays = sorted(refs.texts.keys() ^ hyps.texts.keys())
    if strays:
        what = "id" if refs.has_ids else "line number"
        what += "" if len(strays) == 1 else "s"
        only = reference if strays[0] in refs.texts else hypothesis
        raise DataError(
            f"{reference} and {hypothesis} differ in {len(strays)} {what} "
            f"(first: {strays[0]}, which only {only} has): each utterance must be in both."
        )
    return TextPairs(names, list(refs.texts.values()), [hyps.texts[name] for name in refs.texts])


def score_files(reference: str | Path, hypothesis: str | Path) -> ScoreReport:
    """Score two files; raises DataError as `read_pairs` and `score` do."""
    pairs = read_pairs(reference, hypothesis)
    return score(pairs.references, pairs.hypotheses)
