"""Apache Kafka without Docker: its jars, and one node of it under the data folder."""
