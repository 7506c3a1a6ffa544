"""`python -m brandpulse` and the console script: turns errors into a sentence and an exit code."""

import errno
import os
import sys

HOME = "BRANDPULSE_HOME is where brandpulse keeps its files"


def main() -> None:
    """Exit codes: 0 done, 1 failure, 2 wrong usage, settings or input, 130 interrupted."""
    from brandpulse.cli.root import app
    from brandpulse.errors import BrandpulseError, ConfigError

    try:
        app()
    except ConfigError as error:
        _print_error(error)
        sys.exit(2)
    except BrandpulseError as error:
        _print_error(error)
        sys.exit(1)
    except BrokenPipeError:
        # `brandpulse ... | head` closed the pipe. Python would print an error when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.filename is None and error.errno != errno.ENOSPC:
            raise
        _print_error(_explain(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _explain(error: OSError) -> str:
    """What failed, why, and what to do."""
    place = "a file" if error.filename is None else str(error.filename)
    reason = error.strerror or type(error).__name__
    remedies = {
        errno.EACCES: f"Fix its owner and permissions, or choose another path. {HOME}",
        errno.EPERM: f"Fix its owner and permissions, or choose another path. {HOME}",
        errno.EROFS: f"Choose a writable path. {HOME}",
        errno.ENOTDIR: "A part of this path is a file, not a folder: choose another path",
        errno.EISDIR: "It is a folder: name a file",
        errno.ENOENT: "Check the path, or make the folder first",
        errno.ENOSPC: "Free space on the disk, or choose another path",
        errno.ENAMETOOLONG: "Choose a shorter name",
    }
    remedy = remedies.get(error.errno or 0)
    return f"cannot use {place}: {reason}." + (f" {remedy}." if remedy else "")


def _print_error(error: object) -> None:
    """Control characters are escaped: the message may quote a file."""
    from brandpulse.runtime.console import echo

    echo(f"brandpulse: {error}", err=True)


if __name__ == "__main__":
    main()
