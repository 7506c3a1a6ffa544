"""Validation parts: rows that no training file keeps, drawn by topic, time or column."""
