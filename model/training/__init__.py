"""Implements the training commands of `brandpulse model`."""
