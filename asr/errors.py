"""The errors a user can mend: each message says in one sentence what is wrong and what to do."""

from __future__ import annotations


class AsrError(Exception):
    """Base of every error that is reported to the user without a traceback."""


class AudioError(AsrError):
    """A sound file or stream that cannot be read as speech."""


class UnknownFormatError(AudioError):
    """Sound without a header that says what it is, or no sound at all."""


class ModelError(AsrError):
    """A model, bundle, graph or language model that is missing, damaged or of the wrong version."""


class DataError(AsrError):
    """Text, tables or data directories that are malformed."""


class UsageError(AsrError):
    """A call that makes no sense: wrong option or wrong combination (exit code 2)."""
