-- variant: latin1
-- kind: a database in LATIN1 and locale C, with accented names
-- shape: empty
-- encoding: LATIN1
-- expect: passes

INSERT INTO organization (name, slug)
VALUES
    ('Müller & Söhne', 'mueller'),
    ('Café Élan',      'cafe-elan');
INSERT INTO auth.users (email) SELECT 'user' || n || '@example.org' FROM generate_series(1, 4) AS n;
INSERT INTO profile (id, org_id, display_name, role)
SELECT u.id, o.id, 'Zoë', 'admin'
FROM (SELECT id, row_number() OVER (ORDER BY email) AS n FROM auth.users) AS u
JOIN (SELECT id, row_number() OVER (ORDER BY slug) AS n FROM organization) AS o ON o.n = 1 + u.n % 2;
INSERT INTO supplier (org_id, name) SELECT id, 'Läufer GmbH' FROM organization;
INSERT INTO customer (org_id, name, email) SELECT o.id, 'Señor ' || n, 'c' || n || '@example.org' FROM organization AS o, generate_series(1, 20) AS n;
INSERT INTO inventory_item (org_id, sku, name, category, unit_price, quantity_on_hand)
SELECT o.id, 'SKU' || n, 'Crème ' || n, 'finished_goods', n, 10 FROM organization AS o, generate_series(1, 10) AS n;
