-- step: every foreign key of reservations is valid
SELECT conname FROM pg_constraint WHERE conrelid = 'reservation'::regclass AND NOT convalidated;

-- step: the index is valid
SELECT indexrelid::regclass FROM pg_index WHERE indexrelid = 'loan_open_idx'::regclass AND NOT indisvalid;
