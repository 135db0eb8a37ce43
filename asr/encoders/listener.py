"""One who hears the same sound and judges the texts that a search found: Whisper's decoder.

Attention rescoring (T. Sainath et al., "Two-pass end-to-end speech recognition", 2019; B. Zhang et
al., "Unified streaming and non-streaming two-pass end-to-end model for speech recognition", 2020):
the search is fast and hears well, but it knows the language by a few syllables before. The decoder
that was trained with the encoder knows more of it, and hears the whole sound at once. Asked about
the few best texts only, in int8 on a processor, it costs a fraction of what its own search would.

Whatever is not needed for Korean is impossible here (:mod:`asr.encoders.decoder_store` keeps the
tokens of Hangul and digits alone): marks and other languages do not share its probability. Nor is
the end of a text judged, before which it would expect a mark; that nothing is missing there is for
the search's scores to say.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from asr.acoustic.encoder_front_end import EncoderFrontEnd
from asr.acoustic.front_end import FrontEnd
from asr.encoders.byte_pairs import BytePairs
from asr.encoders.whisper import WhisperEncoder
from asr.encoders.whisper_decoder import WhisperDecoder


class Listener:
    """Encoder and decoder. Immutable: threads may share one.

    Args:
        encoder: hears.
        decoder: judges; of the encoder's width.
        pairs: the decoder's tokens.
        start: tokens that every text begins with: of transcribing Korean, without times; they come
            before all others in the decoder's numbering.
    """

    def __init__(
        self,
        encoder: WhisperEncoder,
        decoder: WhisperDecoder,
        pairs: BytePairs,
        start: Sequence[int],
    ) -> None:
        self._reference = encoder.reference()
        on_processor = encoder.device.type == "cpu"
        self._encoder = encoder.in_int8() if on_processor else encoder
        self._decoder = decoder.in_int8() if on_processor else decoder
        self._pairs = pairs
        self._start = list(start)

    def log_probabilities(
        self,
        texts: Sequence[Sequence[str]],
        samples: NDArray[np.float32],
        front_end: FrontEnd | None = None,
        feats: Tensor | None = None,
    ) -> list[float | None]:
        """How likely texts are, given the sound: natural logs.

        Args:
            texts: ways in which each may be spelled, with spaces; one is as likely as they are
                together.
            samples: float32 [N], at the encoder's rate.
            front_end: made ``feats`` of them, float32 [T, dim]; of the same encoder these are not
                computed again.

        Returns:
            One of each; None of a text that has other characters than the decoder's, is empty or
            very long, and of all where the sound is too long or too short for the encoder.
        """
        found: list[float | None] = [None] * len(texts)
        places, sequences = [], []
        for place, spellings in enumerate(texts):
            for text in spellings:
                tokens = self._pairs.tokens(f" {text}") if text else None
                if tokens and len(self._start) + len(tokens) <= self._decoder.size.positions:
                    places.append(place)
                    sequences.append([*self._start, *tokens])
        states = self._states(samples, front_end, feats) if places else None
        if states is None:
            return found
        given = len(self._start)
        logps = self._decoder.log_probabilities(states, sequences, given, first=given)
        for place, logp in zip(places, logps.tolist(), strict=True):
            other = found[place]
            found[place] = logp if other is None else float(np.logaddexp(other, logp))
        return found

    @property
    def sample_rate(self) -> int:
        """Of the sound that it hears, in Hz."""
        return self._encoder.sample_rate

    @torch.inference_mode()
    def _states(
        self, samples: NDArray[np.float32], front_end: FrontEnd | None, feats: Tensor | None
    ) -> Tensor | None:
        """What the decoder listens to, float32 [T, dim]."""
        encoder = self._encoder
        positions = encoder.config.positions
        if isinstance(front_end, EncoderFrontEnd) and feats is not None and self._same(front_end):
            if len(feats) > positions:
                return None
            return encoder.above(feats[:, -encoder.dim :], front_end.layers)
        most = positions * round(encoder.frame_shift * encoder.sample_rate)
        if not encoder.shortest <= len(samples) <= most:
            return None
        states, _ = encoder.encode([samples], encoder.layers)
        return encoder.above(states[0], encoder.layers)

    def _same(self, front_end: EncoderFrontEnd) -> bool:
        return front_end.encoder.reference() == self._reference
