"""The performance gate: what a migration costs the statements of the workload."""
