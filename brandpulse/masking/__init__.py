"""Removes private data from texts before they are stored, shown or sent."""
