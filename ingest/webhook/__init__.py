"""Takes posts that other programs send by HTTP: `POST /v1/posts`."""
