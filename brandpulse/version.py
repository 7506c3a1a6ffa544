"""The version of this code. A container image has the code without the package's metadata, so the version is here."""

VERSION = "0.2.0"
"""As in pyproject.toml; a test compares the two."""
