"""Pre-trained speech encoders: read, kept and found again."""
