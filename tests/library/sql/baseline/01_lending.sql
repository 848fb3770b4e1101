-- The lending library before its migrations, with data: branches, readers, books, loans. No tenants, no policies.
-- Requires: an empty database.
CREATE TABLE branch (
    id integer PRIMARY KEY,
    town text NOT NULL UNIQUE
);

CREATE TABLE reader (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    branch_id integer NOT NULL REFERENCES branch (id),
    name text NOT NULL,
    email text UNIQUE,
    joined_on date NOT NULL
);
COMMENT ON COLUMN reader.name IS 'personal data: identity';
COMMENT ON COLUMN reader.email IS 'personal data: contact';

CREATE TABLE book (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    branch_id integer NOT NULL REFERENCES branch (id),
    isbn text NOT NULL,
    title text NOT NULL
);
COMMENT ON COLUMN book.title IS 'not personal: what is printed on the cover';

CREATE TABLE loan (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    branch_id integer NOT NULL REFERENCES branch (id),
    reader_id bigint NOT NULL REFERENCES reader (id),
    book_id bigint NOT NULL REFERENCES book (id),
    lent_on date NOT NULL,
    due_on date NOT NULL,
    returned_on date,
    CONSTRAINT loan_is_due_after_it_began CHECK (due_on > lent_on)
);

INSERT INTO branch SELECT n, 'Town ' || n FROM generate_series(1, 3) AS n;
INSERT INTO reader (branch_id, name, email, joined_on)
SELECT 1 + n % 3, 'Reader ' || n, CASE WHEN n % 7 > 0 THEN 'reader' || n || '@example.org' END, date '2020-01-01' + n
FROM generate_series(1, 300) AS n;
INSERT INTO book (branch_id, isbn, title)
SELECT 1 + n % 3, lpad(n::text, 13, '9'), 'Book ' || n
FROM generate_series(1, 600) AS n;
INSERT INTO loan (branch_id, reader_id, book_id, lent_on, due_on, returned_on)
SELECT
    1 + n % 3,
    1 + n % 300,
    1 + n % 600,
    date '2025-01-01' + n % 300,
    date '2025-01-29' + n % 300,
    CASE WHEN n % 5 > 0 THEN date '2025-01-15' + n % 300 + n % 40 END
FROM generate_series(1, 6000) AS n;

CREATE INDEX ON reader (branch_id);
CREATE INDEX ON book (branch_id);
CREATE INDEX ON loan (branch_id);
CREATE INDEX ON loan (reader_id);
CREATE INDEX ON loan (book_id);
