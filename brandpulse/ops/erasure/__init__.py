"""Erases a post or a person: `brandpulse erase`."""
