"""Plots, tables and pages to look at."""
