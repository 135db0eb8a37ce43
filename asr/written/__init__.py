"""Spoken Korean to written: numbers in digits, reversible token by token."""

from asr.written.inverse import to_written, written_tokens
from asr.written.tokens import WrittenToken

__all__ = ["WrittenToken", "to_written", "written_tokens"]
