"""One folder per engine; each is a side of ports.Engine."""
