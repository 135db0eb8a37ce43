"""How long work inside the library reports that it advances."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[float, str], None]
"""Called with the fraction done, 0 to 1, and a short text of what is being done now."""


def silent(fraction: float, message: str) -> None:
    """Report to nobody."""
