"""Mantis Runbook: the migration of MantisNXT as an executable, measured and archived document."""
