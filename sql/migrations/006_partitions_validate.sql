-- Validation of migration 006; being written.
-- step: nothing yet
DO $$ BEGIN ASSERT true; END $$;
