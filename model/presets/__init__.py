"""Complete tasks on the user's data: each lists its data sets with their terms and prints one table of results."""
