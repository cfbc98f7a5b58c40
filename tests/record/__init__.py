"""What reading commands print, what the views hold and what plans say, on two fixed stores.

`python -m tests.record` writes the files below `expected/` anew; look at the difference before it
is committed: what changed must be what was meant to change.
"""
