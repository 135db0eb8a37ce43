"""Hangul: jamo, surface pronunciation by 표준발음법, text normalisation."""
