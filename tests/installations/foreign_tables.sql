-- variant: foreign_tables
-- kind: foreign tables whose server does not answer, and a view over one
-- expect: passes

CREATE EXTENSION postgres_fdw;
CREATE EXTENSION file_fdw;
CREATE SERVER warehouse FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '/nonexistent', dbname 'warehouse', port '6543');
CREATE USER MAPPING FOR CURRENT_USER SERVER warehouse OPTIONS (user 'reader', password 'not a real one');
CREATE FOREIGN TABLE warehouse_sales (org_id uuid, day date, amount numeric(12,2)) SERVER warehouse;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE FOREIGN TABLE rates_of_the_day (currency text, rate numeric) SERVER files OPTIONS (filename '/nonexistent/rates.csv', format 'csv');
CREATE VIEW v_sales AS SELECT org_id, sum(amount) AS amount FROM warehouse_sales GROUP BY org_id;
GRANT SELECT ON v_sales TO authenticated;
