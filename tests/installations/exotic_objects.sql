-- variant: exotic_objects
-- kind: what a dump holds beside tables: text search, operators, casts, collations, ranges, aggregates, rules, conversions, languages
-- expect: passes

CREATE DOMAIN short_code AS text COLLATE "C" CHECK (VALUE ~ '^[A-Z]{2,5}$') DEFAULT 'ZA';
CREATE TYPE day_range AS RANGE (subtype = date);
CREATE COLLATION plain FROM "C";
CREATE TEXT SEARCH CONFIGURATION shop (COPY = simple);
CREATE TEXT SEARCH DICTIONARY shop_words (TEMPLATE = simple, STOPWORDS = english);
ALTER TEXT SEARCH CONFIGURATION shop ALTER MAPPING FOR asciiword WITH shop_words;

CREATE FUNCTION add_lengths(total bigint, word text) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT total + length(word)';
CREATE AGGREGATE total_length(text) (SFUNC = add_lengths, STYPE = bigint, INITCOND = '0');
CREATE FUNCTION same_letters(a text, b text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT lower(a) = lower(b)';
CREATE OPERATOR ~=~~ (LEFTARG = text, RIGHTARG = text, FUNCTION = same_letters, COMMUTATOR = ~=~~);
CREATE FUNCTION code_of(integer) RETURNS short_code LANGUAGE sql IMMUTABLE AS $$ SELECT 'ZA'::short_code $$;
CREATE PROCEDURE tidy_up() LANGUAGE sql AS 'DELETE FROM widget_data_cache WHERE expires_at < ''2000-01-01''';
CREATE OPERATOR FAMILY by_length USING btree;
CREATE FUNCTION compare_lengths(text, text) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT length($1) - length($2)';
CREATE CONVERSION my_latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;

CREATE TABLE shop (
    code    short_code  PRIMARY KEY,
    open    day_range,
    name    text        COLLATE plain,
    EXCLUDE USING gist (open WITH &&)
);
INSERT INTO shop VALUES ('ZA', '[2025-01-01,2025-02-01)', 'Cape');
ALTER TABLE shop ALTER COLUMN name SET STORAGE EXTERNAL, ALTER COLUMN name SET COMPRESSION pglz, ALTER COLUMN name SET (n_distinct = 5);
CREATE RULE keep_shops AS ON DELETE TO shop DO INSTEAD NOTHING;
CREATE INDEX shop_words ON shop USING gin (to_tsvector('shop', name));
ALTER TABLE customer DISABLE TRIGGER record_audit;
ALTER TABLE supplier ENABLE ALWAYS TRIGGER record_audit;
CLUSTER profile USING profile_org_id_idx;
COMMENT ON EXTENSION plpgsql IS 'ours';
CREATE SEQUENCE receipt_number MAXVALUE 99999 CYCLE CACHE 10;
SELECT nextval('receipt_number') FROM generate_series(1, 37);
