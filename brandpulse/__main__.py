"""`python -m brandpulse` and the console script: the one place where an error becomes a sentence and an exit code."""

import errno
import os
import sys

HOME = "BRANDPULSE_HOME is where brandpulse keeps its files"


def main() -> None:
    """Exit codes: 0 done, 1 a failure told in one sentence, 2 wrong usage, settings or input."""
    from brandpulse.cli.root import app
    from brandpulse.errors import BrandpulseError, ConfigError

    try:
        app()
    except ConfigError as error:
        _say(error)
        sys.exit(2)
    except BrandpulseError as error:
        _say(error)
        sys.exit(1)
    except BrokenPipeError:
        # `brandpulse ... | head` closed the pipe. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        _say(_about(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _about(error: OSError) -> str:
    """What failed, why, and what to do."""
    place = "a file" if error.filename is None else str(error.filename)
    reason = error.strerror or type(error).__name__
    remedies = {
        errno.EACCES: f"Mend its owner and rights, or name another place. {HOME}",
        errno.EPERM: f"Mend its owner and rights, or name another place. {HOME}",
        errno.EROFS: f"Name a place that can be written. {HOME}",
        errno.ENOTDIR: "A part of this path is a file, not a folder: name another place",
        errno.EISDIR: "It is a folder: name a file",
        errno.ENOENT: "Check the path, or make the folder first",
        errno.ENOSPC: "Free space on the disk, or name another place",
        errno.ENAMETOOLONG: "Choose a shorter name",
    }
    remedy = remedies.get(error.errno or 0)
    return f"cannot use {place}: {reason}." + (f" {remedy}." if remedy else "")


def _say(error: object) -> None:
    """With control characters spelled out: it may quote a file."""
    from brandpulse.runtime.console import echo

    echo(f"brandpulse: {error}", err=True)


if __name__ == "__main__":
    main()
