-- Validation of migration 005; being written.
-- step: nothing yet
DO $$ BEGIN ASSERT true; END $$;
