"""A program that sends posts to the webhook receiver, rightly and wrongly."""
