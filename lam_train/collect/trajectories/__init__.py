"""Collecting trajectories: the paper's instantiate, execute, judge and postprocess, with counts at every stage."""
