"""Make `data/samples/`: human digits joined into strings, and sentences said by a synthesiser.

    apt-get install espeak-ng
    python tools/make_samples.py

The digits are in `data/samples/digits/`, as they came in Debian's `tuxpaint-stamps-default`
(`symbols/math/?_ko.ogg`). The results are committed; this script shows where they come from.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from asr.audio import load_audio

SAMPLES = Path(__file__).parent.parent / "data" / "samples"
RATE = 16_000
DIGITS = ("공", "하나", "둘", "셋", "넷", "다섯", "여섯", "일곱", "여덟", "아홉")
STRINGS = ("0123456789", "12345", "6789", "31415", "27182")
SENTENCES = (
    "안녕하세요 만나서 반갑습니다",
    "오늘은 날씨가 아주 맑습니다",
    "지금 도서관에서 책을 읽고 있어요",
    "내일 아침에 같이 산에 갑시다",
)
PAUSE_SECONDS = 0.15
EDGE_SECONDS = 0.3
NOISE_LEVEL = 1e-4
"""Root mean square of the noise between digits: real rooms are never digitally silent."""


def main() -> None:
    """Write the flac files and `transcripts.tsv` (file, spoken form)."""
    parser = argparse.ArgumentParser(description="Make the sample recordings.")
    parser.add_argument("--out", type=Path, default=SAMPLES)
    args = parser.parse_args()
    digits = [load_audio(SAMPLES / f"digits/{digit}_ko.ogg", RATE).samples for digit in range(10)]
    rows = []
    for string in STRINGS:
        name = f"human-digits-{string}.flac"
        save(args.out / name, joined([digits[int(digit)] for digit in string]))
        rows.append((name, " ".join(DIGITS[int(digit)] for digit in string)))
    for number, sentence in enumerate(SENTENCES, start=1):
        name = f"synthetic-espeak-{number}.flac"
        save(args.out / name, synthesised(sentence))
        rows.append((name, sentence))
    table = "".join(f"{name}\t{text}\n" for name, text in rows)
    (args.out / "transcripts.tsv").write_text(table, encoding="utf-8")


def joined(words: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Words with pauses between and around them, over faint noise."""
    pause = np.zeros(round(PAUSE_SECONDS * RATE), np.float32)
    edge = np.zeros(round(EDGE_SECONDS * RATE), np.float32)
    parts = [edge]
    for word in words:
        parts += [word, pause]
    samples = np.concatenate([*parts[:-1], edge])
    noise = np.random.default_rng(0).normal(0, NOISE_LEVEL, len(samples))
    return (samples + noise).astype(np.float32)


def synthesised(sentence: str) -> NDArray[np.float32]:
    """eSpeak NG's Korean formant voice."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        command = ["espeak-ng", "-v", "ko", "-s", "150", "-w", file.name, sentence]
        subprocess.run(command, check=True)
        return load_audio(file.name, RATE).samples


def save(path: Path, samples: NDArray[np.float32]) -> None:
    soundfile.write(path, samples, RATE, subtype="PCM_16")


if __name__ == "__main__":
    main()
