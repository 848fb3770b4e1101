"""The rehearsal on the copy: what each statement locks, and what the target may expect."""
