"""What a recipe runs: wiring only, no loops."""
