"""A teacher's answers: stored once, learnt from by students."""
