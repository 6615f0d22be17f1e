"""The command line over the client: what a person types, and how answers look on a terminal or in a pipe."""
