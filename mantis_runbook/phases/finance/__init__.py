"""Phase 3's own: currencies decided, and control totals that agree."""
