"""Checks of a data directory's tables: the lines, the ids, and how the files agree."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator

from asr.data.table_files import (
    FEATS,
    SEGMENTS,
    SPK2UTT,
    TEXT,
    UTT2DUR,
    UTT2SPK,
    WAV,
    parse_segment,
    table_kind,
)
from asr.data.tables import Defect, sort_key
from asr.data.validation import Loaded, check
from asr.errors import DataError

_NUMBERS = {"utt2dur", "utt2num_frames", "reco2dur", "utt2speed"}
_PUNCTUATION_ONLY = "the text has no word"


@check("files")
def missing_files(loaded: Loaded) -> Iterator[Defect]:
    """The files without which there is no data directory."""
    if not loaded.has(UTT2SPK):
        yield Defect(
            UTT2SPK,
            0,
            "the file is missing",
            "write a line `UTTERANCE SPEAKER` for each"
            " utterance (the utterance's own id where speakers are not known)",
        )
    if not loaded.has(SPK2UTT):
        yield Defect(
            SPK2UTT, 0, "the file is missing", "run `asr data fix`, which makes it from utt2spk"
        )
    if not loaded.has(WAV) and not loaded.has(FEATS):
        yield Defect(WAV, 0, "the file is missing", "write a line `RECORDING PATH` for each sound")
    if not loaded.has(TEXT) and loaded.config.text:
        yield Defect(
            TEXT,
            0,
            "the file is missing",
            "write a line `UTTERANCE WORDS` for each utterance, or give --no-text",
        )
    if not loaded.has(FEATS) and loaded.config.features:
        yield Defect(
            FEATS,
            0,
            "the file is missing",
            "compute features (`asr data features`), or give --no-feats",
        )


@check("lines")
def lines(loaded: Loaded) -> Iterator[Defect]:
    """What is wrong with single lines and with their order."""
    for name, table in loaded.tables.items():
        if name != FEATS or loaded.config.features:
            yield from table.defects


@check("utt2spk")
def speakers(loaded: Loaded) -> Iterator[Defect]:
    """One speaker for each utterance, whose id begins those of the utterances."""
    before = ""
    for key, line in loaded.utterances.items():
        speaker = line.value
        if len(speaker.split()) > 1:
            yield Defect(
                UTT2SPK,
                line.number,
                f"{key} has {len(speaker.split())} speakers",
                "give one, without white space",
            )
        elif not unicodedata.is_normalized("NFC", speaker):
            continue  # told of by the line
        elif before and sort_key(speaker) < sort_key(before):
            yield Defect(
                UTT2SPK,
                line.number,
                f"sorted by utterance, speaker {speaker} comes after {before}",
                f"begin the ids of utterances with the speaker's"
                f" ({speaker}-{key}), as Kaldi's sorted tables need",
            )
            return  # one such place implies many
        before = speaker


@check("spk2utt")
def utterances_of_speakers(loaded: Loaded) -> Iterator[Defect]:
    """spk2utt is utt2spk the other way round."""
    if not loaded.has(SPK2UTT):
        return
    wanted: dict[str, set[str]] = {}
    for key, line in loaded.utterances.items():
        wanted.setdefault(line.value, set()).add(key)
    mend = "run `asr data fix`, which makes it from utt2spk"
    for speaker, line in loaded.rows(SPK2UTT).items():
        listed = set(line.value.split())
        for key in _sorted(listed - wanted.get(speaker, set()))[:1]:
            yield Defect(
                SPK2UTT, line.number, f"{speaker} is given {key}, which utt2spk does not", mend
            )
        for key in _sorted(wanted.get(speaker, set()) - listed)[:1]:
            yield Defect(SPK2UTT, line.number, f"{speaker} lacks {key}, which utt2spk gives", mend)
    for speaker in _sorted(wanted.keys() - loaded.rows(SPK2UTT).keys()):
        yield Defect(SPK2UTT, 0, f"speaker {speaker} of utt2spk is missing", mend)


@check("segments")
def segments(loaded: Loaded) -> Iterator[Defect]:
    """Fields, times and recordings of segments."""
    recordings = loaded.rows(WAV)
    for key, line in loaded.rows(SEGMENTS).items():
        try:
            recording, _, _ = parse_segment(line.value)
        except DataError as error:
            yield Defect(
                SEGMENTS,
                line.number,
                f"{key}: {error}",
                "write `UTTERANCE RECORDING START END`, times in seconds",
            )
            continue
        if recordings and recording not in recordings:
            yield Defect(
                SEGMENTS,
                line.number,
                f"{key}: recording {recording} is not in {WAV}",
                f"add it to {WAV}, or delete the line",
            )
    if loaded.has(SEGMENTS):
        used = {segment[0] for segment in loaded.segments.values()}
        for key in _sorted(recordings.keys() - used):
            yield Defect(
                WAV,
                recordings[key].number,
                f"recording {key} has no segment",
                "delete the line, or add its segments",
            )


@check("text")
def texts(loaded: Loaded) -> Iterator[Defect]:
    """Each text has words."""
    for key, line in loaded.rows(TEXT).items():
        if not any(character.isalnum() for character in line.value):
            yield Defect(
                TEXT,
                line.number,
                f"{key}: {_PUNCTUATION_ONLY}",
                "write what is said, or drop the utterance (`asr data fix`)",
            )
        elif jamo := _stray_jamo(line.value):
            yield Defect(
                TEXT,
                line.number,
                f"{key}: single jamo ({jamo}) are no syllable",
                "write the syllable that is said",
            )


@check("agreement")
def agreement(loaded: Loaded) -> Iterator[Defect]:
    """Every utterance, speaker and recording is in each file that lists such."""
    named = {
        "utterance": set(loaded.utterances),
        "speaker": {line.value for line in loaded.utterances.values()},
        "recording": set(loaded.rows(WAV)),
    }
    for name in loaded.tables:
        kind = table_kind(name)
        if name == FEATS and not loaded.config.features:
            continue
        if name in (UTT2SPK, SPK2UTT) or kind is None:
            continue
        if name == WAV:
            if loaded.has(SEGMENTS):
                continue
            kind = "utterance"
        yield from _differences(loaded, name, kind, named[kind])


def _differences(loaded: Loaded, name: str, kind: str, wanted: set[str]) -> Iterator[Defect]:
    rows = loaded.rows(name)
    origin = WAV if kind == "recording" else UTT2SPK
    for key in _sorted(rows.keys() - wanted):
        yield Defect(
            name,
            rows[key].number,
            f"{kind} {key} is not in {origin}",
            f"add it to {origin}, or delete the line (`asr data fix`)",
        )
    if name == TEXT and not loaded.config.text:
        return
    for key in _sorted(wanted - rows.keys()):
        yield Defect(
            name,
            0,
            f"{kind} {key} is missing",
            "add its line, or drop it everywhere (`asr data fix`)",
        )


@check("numbers")
def numbers(loaded: Loaded) -> Iterator[Defect]:
    """Tables of numbers hold positive numbers."""
    for name in sorted(_NUMBERS & loaded.tables.keys()):
        for key, line in loaded.rows(name).items():
            if not _is_positive(line.value):
                yield Defect(
                    name,
                    line.number,
                    f"{key}: {line.value!r} is no number above 0",
                    f"measure it anew, or delete {name}",
                )


@check("spk2gender")
def genders(loaded: Loaded) -> Iterator[Defect]:
    """m or f."""
    for key, line in loaded.rows("spk2gender").items():
        if line.value not in ("m", "f"):
            yield Defect(
                "spk2gender",
                line.number,
                f"{key} has the gender {line.value!r}",
                "write m or f, or delete the file",
            )


@check("durations")
def durations(loaded: Loaded) -> Iterator[Defect]:
    """utt2dur says what the segments say."""
    rows = loaded.rows(UTT2DUR)
    speeds = loaded.rows("utt2speed")
    for key, (_, start, end) in loaded.segments.items():
        line = rows.get(key)
        if end is None or line is None or key in speeds or not _is_positive(line.value):
            continue
        if abs(float(line.value) - (end - start)) > 0.05:
            yield Defect(
                UTT2DUR,
                line.number,
                f"{key} is said to last {line.value} s, its segment {end - start:.2f} s",
                f"delete {UTT2DUR}, or correct the segment",
            )


def _stray_jamo(text: str) -> str:
    """Compatibility jamo (ㅋㅋ), which stand for no syllable."""
    return "".join(character for character in text if "\u3131" <= character <= "\u318e")


def _is_positive(text: str) -> bool:
    try:
        return 0.0 < float(text) < float("inf")
    except ValueError:
        return False


def _sorted(keys: Iterable[str]) -> list[str]:
    return sorted(keys, key=sort_key)
