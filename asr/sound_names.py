"""What files of sound are called."""

SOUND_SUFFIXES = frozenset({
    ".aac", ".aif", ".aiff", ".amr", ".au", ".caf", ".flac", ".m4a", ".mkv", ".mp3", ".mp4",
    ".oga", ".ogg", ".opus", ".wav", ".weba", ".webm", ".wma",
})
"""What is taken from a folder. A file that is named itself may have any name."""
RAW_SUFFIXES = frozenset({".raw", ".pcm"})
"""Headerless PCM."""
