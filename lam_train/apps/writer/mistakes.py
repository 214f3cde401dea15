"""What a policy can do wrong."""


class Mistake(Exception):
    """An action that is invalid or refused: nothing was changed; the message is what the model reads."""
