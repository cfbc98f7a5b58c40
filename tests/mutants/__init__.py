"""Breaks one line of fleet at a time, and counts how many of these mutants the tests notice.

Run it with `make mutants`. It works on copies of the tree, never on the tree itself.
"""
