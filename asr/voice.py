"""Where somebody speaks: the voice-activity detector of the package silero-vad (MIT).

Its network is read as it is published (ONNX, nothing is unpickled); the package itself is not
imported, since that would change how many threads torch uses.
"""

from __future__ import annotations

import functools
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.data_files import package_folder
from asr.errors import ModelError, UsageError

SAMPLE_RATE = 16000
FRAME = 512
"""Samples of a frame."""
_CONTEXT = 64
MOST_FRAMES = 1000
"""Frames that the network is given at once, which takes 20 kB for each."""
_STATE = (1, 1, 128)
_NETWORK = "silero_vad_16k_sequence.onnx"


@dataclass(frozen=True, slots=True)
class VoiceConfig:
    """What counts as speech.

    Attributes:
        threshold: probability from which on a frame does; 0 asks no detector. Low, since it is
            worse to lose speech than to recognise noise.
        shortest: seconds of speech in a segment, less than which is a click or a string plucked.
    """

    threshold: float = 0.25
    shortest: float = 0.16

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1 or not 0 <= self.shortest < math.inf:
            raise UsageError("a voice has a threshold below 1 and lasts 0 seconds or more")

    @property
    def least_frames(self) -> int:
        """Frames of speech that a segment has at least."""
        return max(1, round(self.shortest * SAMPLE_RATE / FRAME))


class VoiceStream:
    """How likely it is that somebody speaks, frame by frame of sound that comes in pieces."""

    def __init__(self) -> None:
        self._session = _session()
        self._waiting = np.zeros(0, np.float32)
        self._context = np.zeros(_CONTEXT, np.float32)
        self._state = (np.zeros(_STATE, np.float32), np.zeros(_STATE, np.float32))

    def accept(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Take float32 [n] samples at 16 kHz; probabilities, float32 [m], of the whole frames."""
        sound = np.concatenate([self._waiting, samples])
        count = len(sound) // FRAME
        self._waiting = sound[count * FRAME :]
        if count == 0:
            return np.zeros(0, np.float32)
        frames = sound[: count * FRAME].reshape(count, FRAME)
        pieces = range(0, count, MOST_FRAMES)
        return np.concatenate([self._heard(frames[i : i + MOST_FRAMES]) for i in pieces])

    def _heard(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities, float32 [m], of frames, float32 [m, FRAME]."""
        contexts = np.concatenate([self._context[None], frames[:-1, -_CONTEXT:]])
        self._context = frames[-1, -_CONTEXT:].copy()
        probabilities, *state = self._session.run(
            ["speech_probs", "hn", "cn"],
            {
                "input": np.concatenate([contexts, frames], axis=1),
                "h": self._state[0],
                "c": self._state[1],
            },
        )
        self._state = state[0], state[1]
        return np.asarray(probabilities, np.float32)


class Voices:
    """Where somebody speaks in a stretch of sound that moves on as it is worked off.

    Args:
        config: what counts as speech.
    """

    def __init__(self, config: VoiceConfig) -> None:
        self._config = config
        self._stream = VoiceStream()
        self._spoken: deque[int] = deque()  # samples where frames of speech begin
        self.heard = 0

    @classmethod
    def of(cls, config: VoiceConfig, sample_rate: int) -> Voices | None:
        """For sound of a rate in Hz; None where no detector is asked, or it takes another rate."""
        wanted = config.threshold > 0 and sample_rate == SAMPLE_RATE
        return cls(config) if wanted else None

    def accept(self, samples: NDArray[np.float32]) -> Iterator[bool]:
        """Take float32 [n] samples; for each frame that they end, whether it is speech.

        ``heard`` (samples) counts a frame when it is told, so the sound may be moved on meanwhile.
        """
        for probability in self._stream.accept(samples).tolist():
            speech = probability >= self._config.threshold
            if speech:
                self._spoken.append(self.heard)
            self.heard += FRAME
            yield speech

    @property
    def enough(self) -> bool:
        """Whether there is as much speech as a segment has at least."""
        return len(self._spoken) >= self._config.least_frames

    @property
    def last_end(self) -> int | None:
        """The sample behind the last frame of speech; None where there is none."""
        return self._spoken[-1] + FRAME if self._spoken else None

    def forget(self, sample: int) -> None:
        """Frames that begin before a sample count no more."""
        while self._spoken and self._spoken[0] < sample:
            self._spoken.popleft()


@functools.cache
def _session() -> Any:
    """The network, one for all threads.

    Raises:
        ModelError: the package is not installed.
    """
    folder = package_folder("silero_vad", "data")
    if folder is None or not (folder / _NETWORK).is_file():
        raise ModelError("the voice-activity detector is not installed; run: pip install"
                         " 'silero-vad==6.2.*'")  # fmt: skip
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(folder / _NETWORK), options, providers=["CPUExecutionProvider"]
    )
