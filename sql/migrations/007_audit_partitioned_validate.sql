-- Validation of migration 007; being written.
-- step: nothing yet
DO $$ BEGIN ASSERT true; END $$;
