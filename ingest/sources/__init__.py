"""Live sources of posts: platforms, feeds and other systems, read continuously."""
