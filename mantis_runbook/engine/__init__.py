"""Carrying migrations out: steps, their record, one runner at a time, and the way back."""
