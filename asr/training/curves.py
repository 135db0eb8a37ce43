"""The curves of a training as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from asr.atomic import replaced_file

_SIDE = ("step", "epoch", "learning_rate", "grad_norm", "frames", "frames_per_second")


def draw_curves(records: Sequence[Mapping[str, Any]], path: Path) -> bool:
    """Draw losses and other metrics over steps into a PNG.

    Args:
        records: lines of ``metrics.jsonl``.
        path: the picture.

    Returns:
        False where matplotlib is not installed or there is nothing to draw.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    series = _series(records)
    if not series:
        return False
    panels = sorted({_panel(name) for name in series}, key=lambda panel: (panel != "loss", panel))
    figure = Figure(figsize=(8, 3 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)  # no display, no global state
    axes = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axis, panel in zip(axes, panels, strict=True):
        for name, points in series.items():
            if _panel(name) == panel:
                steps, values = zip(*points, strict=True)
                axis.plot(steps, values, label=name, marker="." if len(points) < 40 else "")
        axis.set_ylabel(panel)
        axis.legend(fontsize="small")
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("step")
    with replaced_file(path, "wb") as file:
        figure.savefig(file, format="png", dpi=100)
    return True


def _series(records: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    series: dict[str, list[tuple[int, float]]] = {}
    for record in records:
        for name, value in record.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if name not in _SIDE and number:
                series.setdefault(name, []).append((record["step"], value))
    return series


def _panel(name: str) -> str:
    """Metrics of one name are drawn together, whatever set they are of."""
    return name.rpartition("/")[2]
