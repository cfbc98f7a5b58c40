"""`python -m fleet`: the same as the command `fleet`."""

from fleet.cli.main import main

main()
