-- Migration 001: Reservations
-- phase: 1
--
-- What it is: readers reserve books that are lent.
-- What it locks: SHARE ROW EXCLUSIVE on reader, on book and on branch, each for the moment a foreign key of an empty table
-- is hung on it. The index on loan is built concurrently.

-- step: reservations
CREATE TABLE reservation (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    branch_id integer NOT NULL,
    reader_id bigint NOT NULL,
    book_id bigint NOT NULL,
    reserved_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT reservation_is_made_once UNIQUE (book_id, reader_id)
);
COMMENT ON TABLE reservation IS 'Who waits for which book, the first come first.';
CREATE INDEX reservation_branch_id_idx ON reservation (branch_id);
CREATE INDEX reservation_reader_id_idx ON reservation (reader_id);

-- step: reservations belong to branches
ALTER TABLE reservation
    ADD CONSTRAINT reservation_branch_id_fkey FOREIGN KEY (branch_id) REFERENCES branch (id) NOT VALID;

-- step: reservations belong to readers
ALTER TABLE reservation
    ADD CONSTRAINT reservation_reader_id_fkey FOREIGN KEY (reader_id) REFERENCES reader (id) NOT VALID;

-- step: reservations are of books
ALTER TABLE reservation
    ADD CONSTRAINT reservation_book_id_fkey FOREIGN KEY (book_id) REFERENCES book (id) NOT VALID;

-- step: foreign keys of reservations hold
ALTER TABLE reservation VALIDATE CONSTRAINT reservation_branch_id_fkey;
ALTER TABLE reservation VALIDATE CONSTRAINT reservation_reader_id_fkey;
ALTER TABLE reservation VALIDATE CONSTRAINT reservation_book_id_fkey;

-- step: open loans by the day they are due
CREATE INDEX CONCURRENTLY loan_open_idx ON loan (due_on) WHERE returned_on IS NULL;
