"""Text to labels: the encoder, its training and its engines. Knows nothing of Kafka or Redis."""
