"""Migration files, and what their statements mean."""
