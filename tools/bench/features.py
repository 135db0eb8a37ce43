"""Speed of asr.features against kaldi-native-fbank, torchaudio and librosa, on one thread.

All do the same work in the same run: a batch of utterances to 40 cepstra of 40 mel bins
(20-7600 Hz) and to 80 log filterbanks, frames of 25 ms every 10 ms. The systems take turns in
every round, so that other load on the machine meets them alike; the ratio of a round is the
peer's time over ours. Outputs are compared with those of the peers that define the same
features; librosa has no pre-emphasis, DC removal or Povey window, so its work is alike, not equal.

    python tools/bench/features.py [--utterances 32] [--seconds 10] [--rounds 15]
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"  # read when NumPy, torch and numba are first imported
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from asr.features import Fbank, FbankConfig, MelConfig, Mfcc, MfccConfig  # noqa: E402

RATE = 16000
OURS = "malsori"
TOLERANCE = {"mfcc": 1e-2, "fbank": 1e-3}
RESOLVED = 18.0
"""Nats below a frame's loudest mel bin, down to which log energies are compared. There an error of
1e-3 is an amplitude of 1e-3 / 2 * exp(-18 / 2) = 2 ** -24 of the loudest, the rounding of float32:
weaker bins hold noise in any implementation, and the peers differ among themselves."""
Batch = NDArray[np.float32]
System = Callable[[Batch], Batch]


def speech_like(utterances: int, seconds: float) -> Batch:
    """Gliding tones over noise, (utterances, samples) in [-1, 1]; speed does not depend on it."""
    rng = np.random.default_rng(0)
    at = np.arange(int(seconds * RATE)) / RATE
    tones = sum(np.sin(2 * np.pi * f * at * (1 + 0.02 * at)) for f in (140, 280, 1250, 2600))
    noise = rng.standard_normal((utterances, len(at)))
    return np.asarray(0.06 * tones + 0.03 * noise, dtype=np.float32)


def malsori(kind: str) -> System:
    if kind == "mfcc":
        config = MfccConfig(
            mel=MelConfig(num_mel_bins=40, high_freq=7600.0), num_ceps=40, use_energy=False
        )
        extractor: Mfcc | Fbank = Mfcc(config)
    else:
        extractor = Fbank(FbankConfig(mel=MelConfig(num_mel_bins=80)))
    return lambda batch: extractor(torch.from_numpy(batch))[0].numpy()


def kaldi_native_fbank(kind: str, read_frames: bool) -> System:
    """``read_frames=False`` leaves the result inside the library: its bare computing time."""
    import kaldi_native_fbank as knf

    options = knf.MfccOptions() if kind == "mfcc" else knf.FbankOptions()
    online = knf.OnlineMfcc if kind == "mfcc" else knf.OnlineFbank
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = 40 if kind == "mfcc" else 80
    options.mel_opts.high_freq = 7600.0 if kind == "mfcc" else 0.0
    options.use_energy = False
    if kind == "mfcc":
        options.num_ceps = 40

    def compute(batch: Batch) -> Batch:
        features = []
        for samples in batch * 32768:
            computer = online(options)
            computer.accept_waveform(RATE, samples)
            computer.input_finished()
            if read_frames:
                frames = [computer.get_frame(i) for i in range(computer.num_frames_ready)]
                features.append(np.stack(frames))
        return np.stack(features) if read_frames else np.zeros(0, np.float32)

    return compute


def torchaudio(kind: str) -> System:
    import torchaudio.compliance.kaldi as compliance

    def compute(batch: Batch) -> Batch:
        features = []
        for samples in torch.from_numpy(batch * 32768):
            if kind == "mfcc":
                one = compliance.mfcc(samples[None], num_mel_bins=40, num_ceps=40, high_freq=7600.0)
            else:
                one = compliance.fbank(samples[None], num_mel_bins=80)
            features.append(one)
        return torch.stack(features).numpy()

    return compute


def librosa(kind: str) -> System:
    from librosa import power_to_db
    from librosa.feature import melspectrogram, mfcc

    def compute(batch: Batch) -> Batch:
        mel = melspectrogram(
            y=batch, sr=RATE, n_fft=512, win_length=400, hop_length=160, center=False,
            n_mels=40 if kind == "mfcc" else 80, fmin=20.0,
            fmax=7600.0 if kind == "mfcc" else 8000.0, htk=True, norm=None,
        )  # fmt: skip
        log_mel = power_to_db(mel, top_db=None)
        features = mfcc(S=log_mel, n_mfcc=40, lifter=22) if kind == "mfcc" else log_mel
        return np.asarray(features.swapaxes(1, 2))

    return compute


def run_rounds(systems: dict[str, System], batch: Batch, rounds: int) -> dict[str, list[float]]:
    """Seconds of each system in each round, after one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    for number in range(rounds + 1):
        order = list(systems.items())
        turn = number % len(order)  # begin with another system each round
        for name, system in order[turn:] + order[:turn]:
            start = time.perf_counter()
            system(batch)
            if number:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def report(kind: str, seconds: dict[str, list[float]], batch: Batch) -> None:
    audio = batch.size / RATE
    frames = len(batch) * (1 + (batch.shape[1] - 400) // 160)
    print(f"\n{kind}: {len(batch)} utterances of {batch.shape[1] / RATE:g} s")
    print(f"{'':32}{'us/frame':>9}{'x real time':>13}{'ratio to ours: median (min-max)':>34}")
    for name, times in seconds.items():
        middle = statistics.median(times)
        ratios = [a / b for a, b in zip(times, seconds[OURS], strict=True)]
        spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        print(f"{name:32}{middle / frames * 1e6:9.2f}{audio / middle:13.0f}{spread:>34}")


def disagreements(kind: str, systems: dict[str, System], batch: Batch) -> list[str]:
    """Print the largest differences to peers of the same definition; return those too large."""
    ours = systems[OURS](batch)
    wrong = []
    for name in ("kaldi-native-fbank", "torchaudio.compliance.kaldi"):
        theirs = systems[name](batch)
        if ours.shape != theirs.shape:
            wrong.append(f"{kind} has another shape than {name}")
            continue
        difference = np.abs(ours - theirs)
        resolved, note = difference, ""
        if kind == "fbank":
            resolved = difference[theirs >= theirs.max(axis=2, keepdims=True) - RESOLVED]
            note = f"; in bins that float32 does not resolve {difference.max():.1e}"
        print(
            f"largest difference to {name}: {resolved.max():.1e}"
            f" (allowed {TOLERANCE[kind]:g}){note}"
        )
        if not resolved.max() <= TOLERANCE[kind]:
            wrong.append(f"{kind} differs from {name}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--utterances", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rounds", type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(1)
    batch = speech_like(args.utterances, args.seconds)
    wrong = []
    for kind in ("mfcc", "fbank"):
        systems = {
            OURS: malsori(kind),
            "kaldi-native-fbank": kaldi_native_fbank(kind, read_frames=True),
            "kaldi-native-fbank, result unread": kaldi_native_fbank(kind, read_frames=False),
            "torchaudio.compliance.kaldi": torchaudio(kind),
            "librosa (alike)": librosa(kind),
        }
        report(kind, run_rounds(systems, batch, args.rounds), batch)
        wrong += disagreements(kind, systems, batch)
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
