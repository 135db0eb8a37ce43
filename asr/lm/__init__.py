"""N-gram language models over Korean syllable units: training, pruning, formats, decoder view."""
