"""What users notice of a migration while it runs, and stopping it when they would suffer."""
