"""Removes the text of posts from Redis, and keeps it from coming back."""
