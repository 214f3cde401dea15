"""Tasks in Writer: families of operations, wordings of requests, splits, and the check of a saved document."""
