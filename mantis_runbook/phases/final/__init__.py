"""Phase 5's own: the success criteria, each with its evidence."""
