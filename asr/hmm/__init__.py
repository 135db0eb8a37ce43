"""Hidden Markov models: transition model, context tree (senones) and phones."""
