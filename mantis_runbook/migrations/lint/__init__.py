"""What a migration must not do to a running system, and the safe way instead."""
