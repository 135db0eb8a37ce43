"""Readers of Kaldi's files: transition model, nnet3, i-vector extractor, trees and OpenFst graphs.

Everything is parsed with bounds checks from plain bytes; no Kaldi or OpenFst library is needed.
A malformed file raises :class:`asr.errors.ModelError` naming the file, the byte and what was
expected there.
"""
