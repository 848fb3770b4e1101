"""The parts of the command line: options, errors, and commands beside those that migrate."""
