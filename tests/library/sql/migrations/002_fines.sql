-- Migration 002: Fines
-- phase: 2
-- requires: 001
--
-- What it is: what a reader owes for a loan that came back late, in cents; 10 a day.
-- What it locks: ACCESS EXCLUSIVE on loan twice, for moments: a column without a default, a constraint that is not valid yet.

-- step: loans have a fine
ALTER TABLE loan ADD COLUMN fine_cents integer;
COMMENT ON COLUMN loan.fine_cents IS 'money: euro cents; null while the book is out';

-- step: a fine is no gift
ALTER TABLE loan ADD CONSTRAINT loan_fine_is_no_gift CHECK (fine_cents >= 0) NOT VALID;

-- step: fines of loans that came back  batched over loan
UPDATE loan
SET fine_cents = greatest(returned_on - due_on, 0) * 10
WHERE returned_on IS NOT NULL
  AND fine_cents IS NULL
  AND id > $1
  AND id <= $2;

-- step: no fine is a gift
ALTER TABLE loan VALIDATE CONSTRAINT loan_fine_is_no_gift;
