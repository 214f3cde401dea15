"""How a LAM reads and writes: text to token spans with targets, and back."""
