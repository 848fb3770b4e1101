"""Phase 4's own: bloat measured, and tables rebuilt."""
