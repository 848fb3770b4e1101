-- Validation of migration 009; being written.
-- step: nothing yet
DO $$ BEGIN ASSERT true; END $$;
