"""The report of a run, as pages that need no network."""
