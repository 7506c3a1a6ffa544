"""Whole tasks that run end to end on data the user has: each names its data and its terms, and prints one table."""
