"""The page of charts that `brandpulse model evaluate` writes beside its report."""
