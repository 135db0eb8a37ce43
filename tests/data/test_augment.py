"""Augmentation by its properties: lengths, levels, bands, determinism; rooms against an oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asr.data.augment import (
    AddNoise,
    AddRecordedNoise,
    Augmentation,
    Babble,
    Chain,
    Gain,
    Sometimes,
    SpeedPerturb,
    Telephone,
    add_at_snr,
    change_speed,
    coloured_noise,
    stretch,
)
from asr.data.rooms import Reverberate, Room, impulse_response, reverberated
from asr.errors import UsageError

RATE = 16_000


def _tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype("f")


def _level(samples: np.ndarray) -> float:
    """Decibels of the mean power."""
    return 10 * float(np.log10(np.mean(np.square(samples, dtype=np.float64))))


def _peak(samples: np.ndarray) -> float:
    """The strongest frequency in Hz."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(spectrum.argmax() * RATE / len(samples))


VOICES = [coloured_noise(n, 1.0, np.random.default_rng(n)) for n in (5000, 20000, 31000, 9000)]
ALL: list[Augmentation] = [
    SpeedPerturb(),
    Gain(),
    AddNoise(),
    AddRecordedNoise(VOICES),
    Babble(VOICES),
    Telephone(),
    Reverberate(rt60=(0.15, 0.2)),
    Sometimes(Gain(), 0.5),
    Chain((SpeedPerturb((0.9,)), AddNoise(), Telephone())),
]


@pytest.mark.parametrize("augmentation", ALL, ids=lambda a: type(a).__name__)
def test_the_same_generator_gives_the_same(augmentation: Augmentation) -> None:
    samples = _tone(300)
    before = samples.copy()
    one, two, other = (augmentation(samples, np.random.default_rng(s)) for s in (7, 7, 8))
    np.testing.assert_array_equal(one, two)
    assert one.dtype == np.float32 and one.ndim == 1 and np.isfinite(one).all()
    np.testing.assert_array_equal(samples, before)
    if not isinstance(augmentation, (Telephone, SpeedPerturb, Sometimes)):
        assert one.shape != other.shape or not np.array_equal(one, other)
    assert len(augmentation(samples[:0], np.random.default_rng(0))) == 0


@given(st.floats(0.5, 2.0), st.integers(1, 40_000))
@settings(max_examples=40, deadline=None)
def test_speed_changes_the_length_by_its_factor(factor: float, count: int) -> None:
    out = change_speed(np.ones(count, np.float32), factor)
    assert len(out) == round(count / factor)


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_speed_changes_the_pitch_and_no_more(factor: float) -> None:
    out = change_speed(_tone(1000), factor)
    assert _peak(out) == pytest.approx(1000 * factor, abs=2)
    assert _level(out[500:-500]) == pytest.approx(_level(_tone(1000)), abs=0.05)
    high = change_speed(_tone(7800), 1.1)  # 8580 Hz: above what 16 kHz can hold
    assert _level(high[500:-500]) < _level(_tone(7800)) - 60


@given(st.floats(-10, 40), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_noise_has_the_level_asked_for(snr: float, seed: int) -> None:
    samples = _tone(200, 0.7)
    for kind in (
        AddNoise(snr=(snr, snr)),
        AddRecordedNoise(VOICES, snr=(snr, snr)),
        Babble(VOICES, snr=(snr, snr)),
    ):
        noisy = kind(samples, np.random.default_rng(seed))
        added = noisy.astype(np.float64) - samples
        assert len(noisy) == len(samples)
        assert _level(samples) - _level(added) == pytest.approx(snr, abs=0.1)


def test_silence_stays_silence() -> None:
    silent = np.zeros(1000, np.float32)
    np.testing.assert_array_equal(add_at_snr(silent, VOICES[0][:1000], 5), silent)
    np.testing.assert_array_equal(add_at_snr(VOICES[0][:1000], silent, 5), VOICES[0][:1000])


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0])
def test_colours_fall_as_they_should(exponent: float) -> None:
    noise = coloured_noise(1 << 18, exponent, np.random.default_rng(1))
    power = np.abs(np.fft.rfft(noise)) ** 2
    octaves = [power[1 << k : 1 << k + 1].mean() for k in range(6, 16)]
    slope = np.polyfit(np.arange(len(octaves)), np.log2(octaves), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.05)
    assert np.mean(noise**2) == pytest.approx(1.0, abs=1e-3)


@given(st.integers(1, 50), st.integers(1, 200), st.integers(0, 20))
def test_stretches_go_round(size: int, count: int, seed: int) -> None:
    sound = np.arange(size, dtype=np.float32)
    out = stretch(sound, count, np.random.default_rng(seed))
    assert len(out) == count
    assert ((np.diff(out) == 1) | (np.diff(out) == 1 - size)).all()


def test_telephone_passes_its_band() -> None:
    rng = np.random.default_rng(0)
    clean = Telephone(companded=False)
    for hertz, passes in ((100, False), (1000, True), (3000, True), (3800, False), (6000, False)):
        loss = _level(_tone(hertz)) - _level(clean(_tone(hertz), rng)[2000:-2000])
        assert (loss < 0.5) if passes else (loss > 20), hertz
    noise = Telephone()(_tone(1000), rng) - clean(_tone(1000), rng)
    assert 30 < _level(_tone(1000)) - _level(noise) < 45  # what G.711 gives speech: some 38 dB


def test_gain() -> None:
    out = Gain((6.0206, 6.0206))(_tone(100), np.random.default_rng(0))
    np.testing.assert_allclose(out, 2 * _tone(100), rtol=1e-4)


def test_sometimes() -> None:
    rng = np.random.default_rng(0)
    louder = Sometimes(Gain((6, 6)), 0.3)
    changed = sum(louder(_tone(100, 0.01), rng)[1] != _tone(100, 0.01)[1] for _ in range(1000))
    assert 250 < changed < 350


@pytest.mark.parametrize(
    "make",
    [
        lambda: SpeedPerturb(()),
        lambda: SpeedPerturb((0.1,)),
        lambda: Gain((3, -3)),
        lambda: AddNoise(snr=(20, 5)),
        lambda: AddNoise(snr=(float("nan"), 5)),
        lambda: AddRecordedNoise([]),
        lambda: AddRecordedNoise([np.zeros(10, np.float32)]),
        lambda: Babble(VOICES, talkers=(0, 3)),
        lambda: Telephone(band=(300, 5000)),
        lambda: Sometimes(Gain(), 1.5),
        lambda: change_speed(np.ones(10, np.float32), 0.0),
        lambda: add_at_snr(np.ones(10, np.float32), np.ones(9, np.float32), 3),
        lambda: Room((3, 3, 3), (1, 1, 4), (1, 1, 1), 0.3),
        lambda: Room((9, 9, 9), (1, 1, 2), (1, 1, 1), 0.05),
        lambda: Room((9, 9, 9), (1, 1, 2), (1, 1, 1), 9.0),
        lambda: Reverberate(rt60=(0, 1)),
        lambda: Reverberate(height=(0.5, 1)),
        lambda: impulse_response(Room((1.2, 1.2, 1.2), (0.4, 0.5, 0.6), (0.8, 0.7, 0.6), 2.0)),
    ],
)
def test_what_makes_no_sense_is_refused(make: object) -> None:
    with pytest.raises(UsageError):
        make()  # type: ignore[operator]


ROOM = Room((6.0, 5.0, 3.0), (2.0, 3.0, 1.5), (4.2, 1.3, 1.2), 0.4)


def test_impulse_response_against_pyroomacoustics(monkeypatch: pytest.MonkeyPatch) -> None:
    pra = pytest.importorskip("pyroomacoustics")
    from asr.data import rooms

    # neither filters out what is below speech, so that single echoes can be compared
    monkeypatch.setattr(rooms, "_without_offset", lambda response, rate: response)
    enabled = pra.constants.get("rir_hpf_enable")
    pra.constants.set("rir_hpf_enable", False)
    try:
        box = pra.ShoeBox(ROOM.size, fs=RATE, materials=pra.Material(ROOM.absorption), max_order=45)
        box.add_source(ROOM.speaker)
        box.add_microphone(ROOM.microphone)
        box.compute_rir()
    finally:
        pra.constants.set("rir_hpf_enable", enabled)
    delay = pra.constants.get("frac_delay_length") // 2
    theirs = box.rir[0][0][delay:] / (4 * np.pi)
    ours = impulse_response(ROOM, RATE)
    count = round(0.3 * RATE)
    assert np.abs(ours[:count] - theirs[:count]).max() < 0.005 * ours.max()
    assert np.corrcoef(ours[:count], theirs[:count])[0, 1] > 0.9999


def test_direct_sound_of_a_room_without_walls() -> None:
    room = Room((20, 20, 20), (8, 10, 10), (10, 10, 10), 0.0)
    response = impulse_response(room, RATE)
    arrival = 2.0 / 343.0 * RATE
    assert abs(int(response.argmax()) - arrival) <= 1
    energy = np.sqrt(np.sum(response.astype(np.float64) ** 2))
    assert energy == pytest.approx(1 / (4 * np.pi * 2.0), rel=0.02)


@pytest.mark.parametrize("rt60", [0.2, 0.4, 0.7])
def test_sound_dies_away_in_about_its_time(rt60: float) -> None:
    room = Room((5.0, 4.0, 3.0), (1.2, 2.2, 1.5), (3.7, 1.1, 1.4), rt60)
    response = impulse_response(room, RATE).astype(np.float64)
    left = np.cumsum(response[::-1] ** 2)[::-1]  # Schroeder's backward integral
    decibels = 10 * np.log10(left / left[0] + 1e-12)
    five, twenty = (int(np.argmax(decibels < -x)) for x in (5, 25))
    measured = 3 * (twenty - five) / RATE
    # Sabine's formula is known to be off by some tenths in lively boxes
    assert 0.6 * rt60 < measured < 1.6 * rt60


def test_reverberated_speech_keeps_its_place_and_power() -> None:
    rng = np.random.default_rng(0)
    samples = np.zeros(8000, np.float32)
    samples[3000:3400] = rng.standard_normal(400).astype("f")
    wet = reverberated(samples, impulse_response(ROOM, RATE))
    assert len(wet) == len(samples) and _level(wet) == pytest.approx(_level(samples), abs=0.01)
    lag = np.correlate(wet, samples, "full").argmax() - (len(samples) - 1)
    assert abs(lag) <= 1
    # 0.1% of the peak is what is left of a filter's ringing before the click
    assert np.abs(wet[:2900]).max() < 0.02 * np.abs(wet).max()


@given(st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_drawn_rooms_are_rooms(seed: int) -> None:
    kind = Reverberate()
    room = kind.draw(np.random.default_rng(seed))
    assert 0 < room.absorption <= 1.0
    for point in (room.speaker, room.microphone):
        assert all(0.29 < x < side - 0.29 for x, side in zip(point, room.size, strict=True))
    assert room.distance <= kind.distance[1] + 1e-6
