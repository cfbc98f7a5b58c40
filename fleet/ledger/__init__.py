"""The queue: the requested trials, and the state of each."""
