"""The two ways a run ends badly, and their exit statuses."""


class UserError(Exception):
    """A mistake in settings, data or files: exit status 2.

    The message names the culprit (key, file and line, id) and the remedy; no traceback is shown.
    """

    exit_status = 2
    told = False  # another process says it


class Fault(Exception):
    """Something broke while running (a full disk, a non-finite gradient): exit status 1.

    The message says what broke, what was kept, and how to go on.
    """

    exit_status = 1
    told = False  # another process says it
    everywhere = False  # every rank raises it, at the same place
