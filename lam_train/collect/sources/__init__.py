"""Where task-plan pairs come from, one file a source."""
