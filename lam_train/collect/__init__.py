"""Collection: task-plan pairs from documentation and files (the paper, section 3.1)."""
