"""What was said, judged by a decoder that hears it too, in whichever way it would write it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from asr.acoustic.scorer import AcousticScorer
from asr.audio import from_array
from asr.decoder.rescoring import Listen
from asr.encoders.decoder_store import listener
from asr.written import to_written


def listening(
    scorer: AcousticScorer, samples: NDArray[np.float32], feats: Tensor | None = None
) -> Listen:
    """For the rescorer, who may want to know how likely texts are, given the sound.

    The decoder is loaded when it is first asked, and the sound is encoded then.

    Args:
        scorer: whose device is used.
        samples: float32 [N], at its rate.
        feats: what its front end made of them, if it has already.
    """

    def told(texts: Sequence[str]) -> list[float | None]:
        judge = listener(str(scorer.device))
        spelled = [_spellings(text) for text in texts]
        sound = samples
        if scorer.sample_rate != judge.sample_rate:  # a model of telephone speech
            sound = from_array(samples, scorer.sample_rate, judge.sample_rate).samples
        return judge.log_probabilities(spelled, sound, scorer.front_end, feats)

    return told


def _spellings(text: str) -> list[str]:
    """As it was said, and with its numbers in digits, as the decoder has learnt to write them."""
    written = to_written(text).replace(",", "")
    return [text] if written == text else [text, written]
