"""The tab-separated tables of the packages: readings and exceptions are data, not code."""

from __future__ import annotations

from importlib import resources


def read_table(name: str, package: str = "asr.hangul") -> list[list[str]]:
    """Rows of ``data/<name>`` of ``package``, split at tabs, without blank lines and comments.

    Comments begin with ``# ``. Rows are padded with empty strings to the width of the widest row.
    """
    text = resources.files(package).joinpath("data", name).read_text(encoding="utf-8")
    rows = [
        line.rstrip().split("\t")
        for line in text.splitlines()
        if line.strip() and not line.startswith("# ")
    ]
    width = max(map(len, rows), default=0)
    return [row + [""] * (width - len(row)) for row in rows]
