"""`brandpulse model evaluate`, and the page with charts beside its report."""
