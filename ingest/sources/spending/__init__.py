"""What paid or limited sources use up in a day."""
