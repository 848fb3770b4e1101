"""Backups, taken and proven; what is compared, and what is salvaged."""
