-- Validation of migration 008; being written.
-- step: nothing yet
DO $$ BEGIN ASSERT true; END $$;
