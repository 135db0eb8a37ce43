"""Acoustic models: networks that turn feature frames into scores of pdfs."""
