"""The hybrid of 2012: a network's posteriors of senones in the HMM of a Gaussian mixture system."""
