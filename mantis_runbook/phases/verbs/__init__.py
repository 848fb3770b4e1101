"""The verbs of a phase that migrates, a module each."""
