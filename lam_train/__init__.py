"""lam_train trains Large Action Models: language models that act in an application."""

__version__ = "0.1.0"
