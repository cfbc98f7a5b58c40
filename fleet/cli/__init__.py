"""The command line, one file per command: words in, text out."""
