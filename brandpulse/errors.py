"""The kinds of failure, and how each is handled."""


class BrandpulseError(Exception):
    """Base of all errors that are raised on purpose. The message is for a person: what failed, why, what to do."""


class ConfigError(BrandpulseError):
    """A setting or a file of settings is wrong. Stops the start; the message names it and shows a right value."""


class InvalidPostError(BrandpulseError):
    """Input that can never be processed: the post goes to the dead-letter topic with *reason* and the message."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """One of few snake_case words: it labels a metric."""


class TransientError(BrandpulseError):
    """Another server is busy or away: back off with jitter and retry with the finished result."""


class StateError(BrandpulseError):
    """Stored state has a shape that no version writes. Never retried: a person must inspect the named key."""
