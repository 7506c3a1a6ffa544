"""Stand-in servers of platforms, driven by the tests."""
