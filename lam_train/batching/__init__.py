"""Samples to prefix trees to packs, and the loader that can stop and go on anywhere."""
