"""The three kinds of failure, and what each makes us do."""


class BrandpulseError(Exception):
    """Base of everything we raise on purpose: a message for the person who reads it at 3 a.m."""


class ConfigError(BrandpulseError):
    """A setting or a file of settings is wrong. Stops the start; the message names it and shows a right one."""


class InvalidPostError(BrandpulseError):
    """Bad input, for ever: the post goes to the dead-letter topic with *reason* and the message, and we go on."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        """A short snake_case word, bounded in number: it labels a metric."""


class TransientError(BrandpulseError):
    """The world is busy: back off with jitter and hand the finished result over again."""


class StateError(BrandpulseError):
    """Stored state has a shape no version of ours wrote. Never retried: a person must look at the named key."""
