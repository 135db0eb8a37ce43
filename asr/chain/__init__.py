"""LF-MMI: training a network as a whole on what was said, against all that might have been."""
