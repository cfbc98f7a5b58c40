"""The pages, and the programs that make the generated ones (`make docs` runs them)."""
