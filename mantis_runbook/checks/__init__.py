"""What must hold: before, while and after the database changes."""
