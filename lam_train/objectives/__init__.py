"""What a phase minimises: pure functions of gathered log-probabilities and weights."""
