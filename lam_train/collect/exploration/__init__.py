"""Phase 3's data: a model's own attempts at the tasks that the expert failed."""
