"""The queue: what was asked, and how far it is."""
