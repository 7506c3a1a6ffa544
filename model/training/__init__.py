"""What `brandpulse model train` and its siblings are made of."""
