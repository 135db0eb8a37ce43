"""Gaussian mixture models of HMM states: from flat start to speaker-adapted triphones."""
