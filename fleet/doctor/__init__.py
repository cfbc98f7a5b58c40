"""The rules of `fleet doctor`: from findings on a machine to checks with hints. Pure."""
