"""`python -m webnova.cli`: the console script where it isn't on the path."""

from webnova.cli.app import main

main()
