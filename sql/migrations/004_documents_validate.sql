-- Validation of migration 004; being written.
-- step: nothing yet
DO $$ BEGIN ASSERT true; END $$;
