"""The embedded expert for Writer: a grammar reads the request, procedures drive the application."""

from lam_train.apps.writer.expert.expert import ManualExpert

__all__ = ["ManualExpert"]
