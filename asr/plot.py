"""Draw an alignment: waveform, spectrogram and, below, jamo, syllables and eojeol.

Needs matplotlib (`pip install malsori[plot]`), which is imported only here and only when used. The
letters need a font with Hangul: one that is installed, or the one that the same extra brings.
Without any, sounds are named in Latin letters.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from asr.alignment import LEVELS, Alignment, Interval
from asr.atomic import replaced_file
from asr.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)

FORMATS = ("png", "pdf", "svg")
_INCHES_A_SECOND = 2.6
_NARROWEST, _WIDEST, _HEIGHT = 8.0, 150.0, 6.0
_WINDOW_SECONDS, _HOP_SECONDS = 0.025, 0.005
_DYNAMIC_RANGE = 70.0
_FONT_PACKAGES = ("koreanize_matplotlib",)
_PREFERRED = re.compile(r"nanumgothic\.|malgun\.|applesdgothic|notosans(cjk|kr)", re.IGNORECASE)
_NEEDED = (ord("가"), ord("힣"), ord("ㄱ"), ord("ㅣ"))


def check_plottable(path: str | os.PathLike[str]) -> None:
    """Whether :func:`plot_alignment` can write there, so that nobody waits for nothing.

    Raises:
        UsageError: matplotlib is not installed, or the file's suffix names no known format.
    """
    _format(path)
    if importlib.util.find_spec("matplotlib") is None:
        raise UsageError("drawing needs matplotlib: pip install 'malsori[plot]'")


def plot_alignment(
    alignment: Alignment,
    samples: NDArray[np.float32],
    sample_rate: int,
    path: str | os.PathLike[str],
) -> None:
    """Draw an alignment into a PNG, PDF or SVG file, which appears whole or not at all.

    Args:
        alignment: what was said when.
        samples: float32 [N], the sound.
        sample_rate: in Hz.
        path: the file; its suffix tells the format.

    Raises:
        UsageError: as :func:`check_plottable`.
    """
    check_plottable(path)
    figure = draw_alignment(alignment, samples, sample_rate, hangul_font())
    with replaced_file(path, "wb") as file:
        figure.savefig(file, format=_format(path), dpi=100)


def draw_alignment(
    alignment: Alignment, samples: NDArray[np.float32], sample_rate: int, font: Path | None
) -> Figure:
    """The figure itself. ``font`` is a file with Hangul letters; None for Latin ones."""
    from matplotlib.figure import Figure
    from matplotlib.font_manager import FontProperties

    if font is None:
        log.warning("no font with Hangul letters is installed, so sounds are named in Latin ones:"
                    " pip install 'malsori[plot]' brings a font")
    width = min(max(_INCHES_A_SECOND * alignment.duration, _NARROWEST), _WIDEST)
    figure = Figure(figsize=(width, _HEIGHT), layout="constrained")
    wave, spectrum, labels = figure.subplots(
        3, 1, sharex=True, gridspec_kw={"height_ratios": [1.2, 3, 1.6]}
    )
    _draw_wave(wave, samples, sample_rate)
    _draw_spectrogram(spectrum, samples, sample_rate, alignment)
    shown = FontProperties(fname=str(font)) if font is not None else FontProperties()
    _draw_labels(labels, alignment, shown, latin=font is None)
    labels.set_xlim(0.0, alignment.duration)
    labels.set_xlabel("seconds")
    return figure


def hangul_font() -> Path | None:
    """A font file with Hangul syllables and jamo: an installed one, else one from a package."""
    from matplotlib.font_manager import findSystemFonts

    installed = sorted(findSystemFonts(), key=lambda name: (not _PREFERRED.search(name), name))
    for path in (*map(Path, installed), *_package_fonts()):
        if _has_hangul(path):
            return path
    return None


def _package_fonts() -> Iterator[Path]:
    for package in _FONT_PACKAGES:
        found = importlib.util.find_spec(package)  # finds the folder, runs none of its code
        for folder in (found.submodule_search_locations or []) if found else []:
            yield from sorted(Path(folder).rglob("*.ttf"))


def _has_hangul(path: Path) -> bool:
    from matplotlib.ft2font import FT2Font

    try:
        letters = FT2Font(str(path)).get_charmap()
    except (OSError, RuntimeError):  # not a font that FreeType reads
        return False
    return all(code in letters for code in _NEEDED)


def spectrogram(
    samples: NDArray[np.float32], sample_rate: int
) -> tuple[NDArray[np.float32], float]:
    """Levels in dB below the loudest, float32 [bins, frames], and the seconds between frames.

    Frame t is centred on t hops; bins reach from 0 to half the sample rate.
    """
    window = max(2, round(_WINDOW_SECONDS * sample_rate))
    hop = max(1, round(_HOP_SECONDS * sample_rate))
    padded = np.pad(samples.astype(np.float32), window // 2 + 1)
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    size = 1 << (window - 1).bit_length()
    power = np.abs(np.fft.rfft(frames * np.hanning(window).astype(np.float32), size)) ** 2
    level = 10.0 * np.log10(np.maximum(power, 1e-12))
    return np.maximum(level - level.max(), -_DYNAMIC_RANGE).astype(np.float32).T, hop / sample_rate


def _draw_wave(axes: Axes, samples: NDArray[np.float32], sample_rate: int) -> None:
    """The extremes of each few milliseconds, as the whole would be millions of points."""
    block = max(1, sample_rate // 400)
    count = -(-len(samples) // block)
    blocks = np.pad(samples, (0, count * block - len(samples))).reshape(count, block)
    times = np.arange(count) * block / sample_rate
    axes.fill_between(times, blocks.min(axis=1), blocks.max(axis=1), color="0.25", linewidth=0.3)
    axes.set_yticks([])
    axes.margins(y=0.05)


def _draw_spectrogram(
    axes: Axes, samples: NDArray[np.float32], sample_rate: int, alignment: Alignment
) -> None:
    levels, hop = spectrogram(samples, sample_rate)
    extent = (-hop / 2, (levels.shape[1] - 0.5) * hop, 0.0, sample_rate / 2000.0)
    axes.imshow(levels, origin="lower", aspect="auto", cmap="gray_r", extent=extent)
    for edge in _edges(alignment.intervals("jamo")):
        axes.axvline(edge, color="tab:blue", linewidth=0.5, alpha=0.6)
    for edge in _edges(alignment.intervals("eojeol")):
        axes.axvline(edge, color="tab:red", linewidth=0.9, alpha=0.8)
    axes.set_ylabel("kHz")


def _draw_labels(axes: Axes, alignment: Alignment, font: Any, *, latin: bool) -> None:
    rows = len(LEVELS)
    for row, level in enumerate(reversed(LEVELS)):  # jamo on top, eojeol at the bottom
        top, bottom = rows - row, rows - row - 1
        for interval in _labelled(alignment, level, latin):
            for edge in (interval.start, interval.end):
                axes.plot([edge, edge], [bottom, top], color="0.6", linewidth=0.5)
            axes.text(
                (interval.start + interval.end) / 2,
                (top + bottom) / 2,
                interval.text.replace("$", r"\$"),
                ha="center",
                va="center",
                fontproperties=font,
                fontsize=7 if level == "jamo" else 9,
                clip_on=True,
            )
    axes.set_ylim(0, rows)
    axes.set_yticks([rows - 0.5 - row for row in range(rows)], list(reversed(LEVELS)))
    for row in range(1, rows):
        axes.axhline(row, color="0.6", linewidth=0.5)


def _labelled(alignment: Alignment, level: str, latin: bool) -> tuple[Interval, ...]:
    """The intervals of a level, named by their phones where Hangul cannot be drawn."""
    if not latin:
        return alignment.intervals(level)
    word_of = [syllable.word for syllable in alignment.syllables]
    names = {"jamo": [jamo.phone for jamo in alignment.jamo],
             "syllable": [""] * len(alignment.syllables), "eojeol": [""] * len(alignment.words)}
    for jamo in alignment.jamo:
        names["syllable"][jamo.syllable] += jamo.phone.rstrip("2")
        names["eojeol"][word_of[jamo.syllable]] += jamo.phone.rstrip("2")
    return tuple(
        Interval(name, interval.start, interval.end)
        for name, interval in zip(names[level], alignment.intervals(level), strict=True)
    )


def _edges(intervals: tuple[Interval, ...]) -> list[float]:
    return sorted({edge for part in intervals for edge in (part.start, part.end)})


def _format(path: str | os.PathLike[str]) -> str:
    suffix = Path(path).suffix.removeprefix(".").lower()
    if suffix not in FORMATS:
        raise UsageError(f"{path}: drawings are written as .{', .'.join(FORMATS)}")
    return suffix
