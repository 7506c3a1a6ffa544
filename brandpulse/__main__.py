"""`python -m brandpulse` and the console script: the one place where an error becomes a sentence and an exit code."""

import sys


def main() -> None:
    """Exit codes: 0 done, 1 a failure told in one sentence, 2 wrong usage, settings or input."""
    from brandpulse.cli import app
    from brandpulse.errors import BrandpulseError, ConfigError

    try:
        app()
    except ConfigError as error:
        print(f"brandpulse: {error}", file=sys.stderr)
        sys.exit(2)
    except BrandpulseError as error:
        print(f"brandpulse: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
