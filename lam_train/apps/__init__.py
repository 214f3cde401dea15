"""Applications to act in, behind Gymnasium's API."""
