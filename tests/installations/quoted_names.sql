-- variant: quoted_names
-- kind: identifiers of the owner's that must be quoted: capitals, blanks, reserved words, quotes, letters beyond ASCII, 63 bytes
-- expect: passes

CREATE SCHEMA "Sales Dept";
CREATE TYPE "Sales Dept"."Größe" AS ENUM ('klein', 'it''s "big"');
CREATE TABLE "Sales Dept"."Order" (
    "Id"         uuid                  PRIMARY KEY DEFAULT gen_random_uuid(),
    "org_id"     uuid                  REFERENCES organization,
    "select"     text                  DEFAULT 'a;b',
    "Größe"      "Sales Dept"."Größe"  DEFAULT 'klein',
    "per cent %" numeric
);
INSERT INTO "Sales Dept"."Order" (org_id, "per cent %") SELECT id, 5 FROM organization;
CREATE INDEX "Idx ""of"" Größe" ON "Sales Dept"."Order" ("Größe", "select");
CREATE TABLE "CustomerNote" (
    "Id"    serial  PRIMARY KEY,
    org_id  uuid    NOT NULL REFERENCES organization,
    "user"  text
);
INSERT INTO "CustomerNote" (org_id, "user") SELECT id, 'O''Neill' FROM organization;
ALTER TABLE "CustomerNote" ENABLE ROW LEVEL SECURITY;
CREATE POLICY "Own notes" ON "CustomerNote" USING (org_id = (SELECT current_org_id()));
GRANT SELECT, INSERT, UPDATE, DELETE ON "CustomerNote" TO authenticated;
CREATE TABLE a_name_as_long_as_names_can_be_in_postgresql_which_is_63_bytes_x (id integer PRIMARY KEY);
CREATE VIEW "Notes %s {0} $1" AS SELECT "Id", "user" FROM "CustomerNote";
CREATE FUNCTION "Count Notes"("target Org" uuid) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM "CustomerNote" WHERE org_id = $1';
