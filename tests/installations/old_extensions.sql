-- variant: old_extensions
-- kind: extensions at older versions than the server's own, one with rows and an operator class in use
-- expect: passes

CREATE EXTENSION hstore VERSION '1.4';
CREATE EXTENSION ltree VERSION '1.1';
CREATE EXTENSION pg_trgm VERSION '1.3';
CREATE EXTENSION citext VERSION '1.4';

CREATE TABLE old_catalog (
    id     integer  PRIMARY KEY,
    path   ltree,
    extra  hstore,
    label  citext
);
INSERT INTO old_catalog SELECT n, ('top.n' || n)::ltree, hstore('n', n::text), 'Label ' || n FROM generate_series(1, 50) AS n;
CREATE INDEX old_catalog_path ON old_catalog USING gist (path);
CREATE INDEX old_catalog_label ON old_catalog USING gin ((label::text) gin_trgm_ops);
