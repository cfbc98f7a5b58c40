"""The rules of `fleet doctor`: from what a look at a machine found to checks. Pure."""
