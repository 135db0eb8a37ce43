"""Speech of many voices, said by eSpeak NG, as data directories: OUT/train, OUT/dev, OUT/test.

    python recipes/mini_ko/local/synthesise.py OUT --utterances 300

No voice and no sentence is in two of them. OUT/lm.txt holds other sentences of the grammar, for a
language model. The same command makes the same samples on any machine of one kind.
"""

from __future__ import annotations

import argparse
import ctypes
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from grammar import sentences
from numpy.typing import NDArray

from asr.atomic import replaced_folder
from asr.data.directory import DataDir, DirUtterance
from asr.data.sentences import SentenceIndex

RATE = 16_000
SEED = 20_26
LM_SENTENCES = 4000
NOISE_LEVELS = (5e-4, 1e-2)
"""Root mean square of the noise under the speech, drawn between these: rooms are not all quiet."""
EDGE_SECONDS = 0.2
WRITTEN = Path(__file__).with_name("sentences.txt")
# Voices whose every sample is decided by text, speed and pitch; ko+f2, f3, f5, Alicia and
# sandro are not such.
VOICES = {
    "train": ("ko", "ko+m1", "ko+f1", "ko+m2", "ko+f4", "ko+m3", "ko+Annie", "ko+m5", "ko+linda",
              "ko+m7", "ko+steph", "ko+Andy", "ko+aunty", "ko+Gene", "ko+Andrea", "ko+john",
              "ko+shelby", "ko+Hugo", "ko+rob", "ko+Michael", "ko+ed", "ko+max", "ko+pablo"),
    "dev": ("ko+m6", "ko+anika", "ko+Mario"),
    "test": ("ko+m4", "ko+belinda", "ko+m8", "ko+Diogo"),
}  # fmt: skip
SHARES = {"dev": 0.12, "test": 0.14}
SPEEDS = (145, 165, 185)
PITCHES = (35, 50, 65)
_SYNCHRONOUS, _NO_EXIT, _UTF8 = 2, 0x8000, 1
_SPEED, _PITCH = 1, 3


@dataclass(frozen=True, slots=True)
class Speech:
    """What one voice says: id, text, words a minute and pitch (0 to 99) of each utterance."""

    voice: str
    said: tuple[tuple[str, str, int, int], ...]


def main() -> int:
    """Write the folder."""
    parser = argparse.ArgumentParser(description="Make synthetic speech.", allow_abbrev=False)
    parser.add_argument("out", type=Path)
    parser.add_argument("--utterances", type=int, default=300, help="in all (default: 300)")
    parser.add_argument("--jobs", type=int, default=1)
    args = parser.parse_args()
    if args.utterances < 40:
        parser.error("--utterances: fewer than 40 do not give every voice something to say")
    try:
        import espeakng_loader  # noqa: F401
    except ImportError:
        print("synthesise.py: install what this recipe needs: pip install 'malsori[recipes]'",
              file=sys.stderr)  # fmt: skip
        return 1
    texts, others = chosen_texts(args.utterances)
    with replaced_folder(args.out) as folder:
        (folder / "lm.txt").write_text("\n".join(others) + "\n", encoding="utf-8")
        for part, lines in texts.items():
            make_part(part, lines, folder, args.out, args.jobs)
    return 0


def chosen_texts(utterances: int) -> tuple[dict[str, list[str]], list[str]]:
    """The sentences of each part, and those for the language model; none is within another."""
    counts = {part: round(share * utterances) for part, share in SHARES.items()}
    counts["train"] = utterances - sum(counts.values())
    written = WRITTEN.read_text(encoding="utf-8").splitlines()
    taken = SentenceIndex()
    for text in written:
        taken.add("", text)
    drawn = _apart(sentences(SEED), taken)
    texts = {}
    for number, part in enumerate(("test", "dev", "train")):
        own = written[number::3][: counts[part] // 3]  # a third is written, the rest drawn
        texts[part] = own + [next(drawn) for _ in range(counts[part] - len(own))]
    return texts, texts["train"] + [next(drawn) for _ in range(LM_SENTENCES)]


def _apart(drawn: Iterator[str], taken: SentenceIndex) -> Iterator[str]:
    """Those that are new, and neither within one that is taken nor around it."""
    for text in drawn:
        if not any(taken.find(text)):
            taken.add("", text)
            yield text


def make_part(part: str, texts: Sequence[str], folder: Path, final: Path, jobs: int) -> None:
    """Say the texts into folder/sound/PART, and write folder/PART; both will be below `final`."""
    sounds = Path("sound", part)
    (folder / sounds).mkdir(parents=True)
    shared = speeches(part, texts)
    # A process a voice: eSpeak keeps a state from one sentence to the next.
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, maxtasksperchild=1) as pool:
        pool.starmap(say_all, [(speech, folder / sounds) for speech in shared], chunksize=1)
    rows = [
        DirUtterance(name, name, speaker_name(speech.voice), text,
                     source=(final / sounds / f"{name}.flac").absolute())
        for speech in shared for name, text, _, _ in speech.said
    ]  # fmt: skip
    DataDir(tuple(sorted(rows, key=lambda row: row.id.encode()))).write(folder / part)


def speeches(part: str, texts: Sequence[str]) -> list[Speech]:
    """The texts dealt to the voices in turn, with speeds and pitches that differ."""
    voices = VOICES[part]
    shared = []
    for number, voice in enumerate(voices):
        said = []
        for turn, text in enumerate(texts[number :: len(voices)]):
            name = f"{speaker_name(voice)}-{turn + 1:04d}"
            said.append((name, text, SPEEDS[turn % 3], PITCHES[(turn // 3 + number) % 3]))
        shared.append(Speech(voice, tuple(said)))
    return [speech for speech in shared if speech.said]


def speaker_name(voice: str) -> str:
    return "espeak-" + (voice.partition("+")[2] or "plain").lower()


def say_all(speech: Speech, folder: Path) -> None:
    """Write a FLAC file for each utterance of a voice."""
    synthesiser = Synthesiser(speech.voice)
    for number, (name, text, speed, pitch) in enumerate(speech.said):
        samples = synthesiser.say(text, speed, pitch)
        edge = np.zeros(round(EDGE_SECONDS * RATE), np.float32)
        samples = np.concatenate([edge, samples, edge])
        generator = np.random.default_rng([number, *speech.voice.encode()])
        level = np.exp(generator.uniform(*np.log(NOISE_LEVELS)))
        noise = generator.normal(0, level, len(samples))
        soundfile.write(folder / f"{name}.flac", samples + noise, RATE, subtype="PCM_16")


class Synthesiser:
    """One voice of eSpeak NG (its C interface: speak_lib.h)."""

    def __init__(self, voice: str) -> None:
        import espeakng_loader

        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        data = espeakng_loader.get_data_path().encode()
        self._rate = self._library.espeak_Initialize(_SYNCHRONOUS, 0, data, _NO_EXIT)
        self._blocks: list[NDArray[np.int16]] = []
        kind = ctypes.CFUNCTYPE(
            ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
        )
        self._callback = kind(self._take)
        self._library.espeak_SetSynthCallback(self._callback)
        if self._rate <= 0 or self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise RuntimeError(f"eSpeak NG has no voice {voice}")

    def say(self, text: str, speed: int, pitch: int) -> NDArray[np.float32]:
        """float32 [N] at RATE."""
        self._blocks.clear()
        self._library.espeak_SetParameter(_SPEED, speed, 0)
        self._library.espeak_SetParameter(_PITCH, pitch, 0)
        data = text.encode() + b"\0"
        code = self._library.espeak_Synth(
            data, ctypes.c_size_t(len(data)), 0, 0, 0, _UTF8, None, None
        )
        if code != 0 or not self._blocks:
            raise RuntimeError(f"eSpeak NG says nothing to {text!r}")
        samples = np.concatenate(self._blocks).astype(np.float32) / 32768
        return soxr.resample(samples, self._rate, RATE).astype(np.float32)

    def _take(self, samples, count: int, events: int) -> int:
        if samples and count > 0:
            self._blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0


if __name__ == "__main__":
    sys.exit(main())
