"""Any Hugging Face causal language model: loading, tree attention, the head on gathered positions."""
