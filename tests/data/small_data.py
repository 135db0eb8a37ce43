"""What the tests of data directories share: texts of three speakers, and sounds of noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

RATE = 16_000
TEXTS = {
    "kim-1": "오늘은 날씨가 아주 맑습니다",
    "kim-2": "칠 년 전에 시작했다",
    "lee-1": "내일은 같이 산에 갑시다",
    "lee-2": "버스를 타고 시장에 갔어요",
    "park-1": "점심은 뭘 먹을까요",
    "park-2": "책을 세 권 빌렸습니다",
}


def write_sound(path: Path, seconds: float, seed: int = 0, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    soundfile.write(path, 0.1 * rng.standard_normal(round(seconds * rate)), rate, subtype="PCM_16")
    return path
