"""Data evolving: more data from data (the paper, section 3.1.4: 29,182 task-plan pairs became 76,672)."""
