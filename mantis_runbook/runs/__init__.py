"""The record of a run: journal, evidence, manifest, verdict."""
