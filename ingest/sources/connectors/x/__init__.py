"""X: the filtered stream and the recent search."""
