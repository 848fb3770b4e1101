"""The server: how it is reached, its grammar, its catalogue, its client programs."""
