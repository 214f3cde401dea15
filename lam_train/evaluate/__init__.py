"""How good a model is: plans against held-out pages, with intervals."""
