"""The one trainer: loop, DeepSpeed engine, schedule, checkpoints, metrics."""
