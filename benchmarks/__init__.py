"""Benchmarks: figures of the run at hand, on the machine at hand.

`python -m benchmarks` runs them all.
"""
