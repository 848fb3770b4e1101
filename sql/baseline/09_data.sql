-- Baseline 09: synthetic data, made in the server.
-- requires: 01 to 08, empty tables, a superuser, and two settings:
--     mantis.scale   1 makes about 300,000 rows; anything above 0 will do
--     mantis.seed    an integer; the same seed and scale make the same content, to the last uuid and microsecond
-- No random() and no now(): every value is a hash of the seed, a word that says what it is for, and the row's number.
-- A row's number is its organisation's number × 10,000,000 plus its place in the organisation, so that a child finds
-- its parent's id by arithmetic. Triggers and foreign keys sleep while the rows come in; what triggers keep is
-- computed as they would have left it, and the last statement proves every foreign key.
--
-- Planted on purpose, for phase 0 to find; the counts hold at every scale:
--     6  users without a profile, who own a dashboard and a conversation each (profile.id guards neither)
--     8  notifications that name a ticket which does not exist, in metadata ->> 'ticket_id'
--    16  groups of customers of one organisation with one e-mail address: 8 letter for letter, 8 but for case
--     6  organisations whose settings name no currency (one has no settings, one a JSON null)
--     7  foreign keys without an index (04_indexes.sql)
-- How to find each: the end of this file. What is no blemish: the same address in two organisations, missing
-- addresses, and audit entries of deleted rows.

SET LOCAL TimeZone = 'UTC';
SET LOCAL session_replication_role = replica;
SET LOCAL jit = off;    -- compiling these statements takes longer than running them


----------
-- Dice --
----------

CREATE FUNCTION pg_temp.id(kind text, n bigint)
    RETURNS uuid
    LANGUAGE sql
    STABLE
AS $$
    SELECT md5(current_setting('mantis.seed') || ' ' || kind || ' ' || n)::uuid
$$;

CREATE FUNCTION pg_temp.roll(purpose text, n bigint, sides bigint)      -- 0 … sides - 1, all alike
    RETURNS bigint
    LANGUAGE sql
    STABLE
AS $$
    SELECT (hashint8extended(n, current_setting('mantis.seed')::bigint + hashtext(purpose)) & x'7fffffffffffffff'::bigint)
         % sides
$$;

CREATE FUNCTION pg_temp.low(purpose text, n bigint, sides bigint)       -- 0 … sides - 1, the low ones more often
    RETURNS bigint
    LANGUAGE sql
    STABLE
AS $$
    SELECT pg_temp.roll(purpose, n, sides) * pg_temp.roll(purpose || ' again', n, 1000) / 1000
$$;

CREATE FUNCTION pg_temp.chance(purpose text, n bigint, percent bigint)
    RETURNS boolean
    LANGUAGE sql
    STABLE
AS $$
    SELECT pg_temp.roll(purpose, n, 100) < percent
$$;

CREATE FUNCTION pg_temp.pick(options anyarray, purpose text, n bigint)
    RETURNS anyelement
    LANGUAGE sql
    STABLE
AS $$
    SELECT options[1 + pg_temp.roll(purpose, n, cardinality(options))]
$$;

CREATE FUNCTION pg_temp.one_of(kind text, base bigint, how_many bigint, purpose text, n bigint)
    RETURNS uuid
    LANGUAGE sql
    STABLE
AS $$
    SELECT pg_temp.id(kind, base + 1 + pg_temp.roll(purpose, n, how_many))
$$;

CREATE FUNCTION pg_temp.moment(purpose text, n bigint)                  -- within the year that has partitions
    RETURNS timestamptz
    LANGUAGE sql
    STABLE
AS $$
    SELECT timestamptz '2024-10-01 00:00+00' + pg_temp.roll(purpose, n, 365 * 86400) * interval '1 second'
$$;

CREATE FUNCTION pg_temp.edge_or_moment(purpose text, n bigint)          -- the first four: edges of partitions
    RETURNS timestamptz
    LANGUAGE sql
    STABLE
AS $$
    SELECT CASE n % 10000000
        WHEN 1 THEN timestamptz '2024-10-01 00:00+00'
        WHEN 2 THEN timestamptz '2025-09-30 23:59:59.999999+00'
        WHEN 3 THEN timestamptz '2024-12-31 23:59:59.999999+00'
        WHEN 4 THEN timestamptz '2025-01-01 00:00+00'
        ELSE pg_temp.moment(purpose, n)
    END
$$;

CREATE FUNCTION pg_temp.person(purpose text, n bigint)
    RETURNS text
    LANGUAGE sql
    STABLE
AS $$
    SELECT pg_temp.pick(
               ARRAY[
                   'Anna', 'James', 'Mary', 'Peter', 'Wei', 'Fatima', 'Carlos', 'Priya', 'Zoë', E'Zoe\u0308', 'Jürgen', 'Łukasz',
                   'Søren', 'Chloé', 'Ольга', 'Дмитрий', 'Δημήτρης', 'Ελένη', 'محمد', 'ليلى', 'שרה', 'דוד', 'अनन्या', 'விஜய்',
                   '美咲', '健太', '伟', '秀英', '민준', '서연', 'Nguyễn', 'สมชาย', 'Jean-Luc', 'Mary Ann', 'Ngũgĩ', 'Þór'
               ],
               purpose || ' given name',
               n
           )
        || ' '
        || pg_temp.pick(
               ARRAY[
                   'Smith', 'Jones', 'Garcia', 'Müller', 'Weiß', 'O''Brien', 'D’Angelo', 'van der Berg', 'Åkesson', 'Dvořák', 'İnönü',
                   E'Nun\u0303ez', 'Иванова', 'Παπαδόπουλος', 'الحسن', 'כהן', 'शर्मा', '佐藤', '王', '김', 'Trần', 'Okafor', '𠮷田', 'Silva'
               ],
               purpose || ' family name',
               n
           )
$$;

CREATE FUNCTION pg_temp.company(purpose text, n bigint)
    RETURNS text
    LANGUAGE sql
    STABLE
AS $$
    SELECT pg_temp.pick(
               ARRAY[
                   'Blue Ridge', 'Golden Gate', 'Nordlicht', 'Étoile', 'São Bento', 'Северная звезда', 'Ηλιος', 'النور', 'הגליל',
                   '東海', '华光', '한빛', 'गंगा', 'Crème & Co', 'Quick-Fix', 'Under_Score', '100 % Pure', 'Back\slash'
               ],
               purpose || ' company',
               n
           )
        || ' '
        || pg_temp.pick(ARRAY['Ltd', 'GmbH', 'S.A.', 'Inc.', 'Pty', '株式会社', 'ООО', 'Oy', 'AB', '✨'], purpose || ' company form', n)
$$;

CREATE FUNCTION pg_temp.sentence(purpose text, n bigint)
    RETURNS text
    LANGUAGE sql
    STABLE
AS $$
    SELECT pg_temp.pick(
               ARRAY[
                   'The delivery came a day late', 'Please call back about the invoice', 'Everything works, thank you', 'Cannot sign in since this morning',
                   'Die Rechnung stimmt nicht', 'La livraison est incomplète', 'El pedido llegó roto', 'Заказ не пришёл', 'الطلب لم يصل بعد',
                   'ההזמנה לא הגיעה', '商品が届きません', '发票金额不对', '주문이 취소되었습니다', 'ऑर्डर नहीं मिला', 'Ship it 🚀🚀', E'Line one\nline two',
                   E'tab\there, "quotes", \\backslash\\ and ''apostrophes''', 'Ça marche 👍🏽 — naïve café', '50 % off; DROP TABLE? No.', E'a\u0301e\u0301i\u0301'
               ],
               purpose || ' sentence',
               n
           )
        || ' #' || n % 10000000
$$;


-------------
-- Tenants --
-------------
-- The r-th organisation has a share of 1 / r^1.25: the largest about a third of everything, the smallest under one percent.
-- cent is the smallest unit of money: 0.01, but 1 for the yen.

CREATE TEMPORARY TABLE tenant ON COMMIT DROP AS
WITH named (number, name, slug, settings) AS (
    VALUES
        (1,  'Atlas Freight',                        'atlas-freight',      '{"currency": "USD", "locale": "en-US", "timezone": "America/Chicago"}'::jsonb),
        (2,  'Müller & Söhne Präzision',             'mueller-soehne',     '{"currency": "EUR", "locale": "de-DE", "timezone": "Europe/Berlin"}'),
        (3,  'Thames Valley Supplies',               'thames-valley',      '{"currency": "GBP", "locale": "en-GB"}'),
        (4,  '株式会社みどり商会',                   'midori-shokai',      '{"currency": "JPY", "locale": "ja-JP"}'),
        (5,  'Prairie Foods',                        'prairie-foods',      '{"locale": "en-US"}'),
        (6,  'Compañía Andina de Envíos',            'andina-envios',      '{"currency": "USD", "locale": "es-CO"}'),
        (7,  'Łódź Tekstylia',                       'lodz-tekstylia',     '{"currency": "EUR", "locale": "pl-PL"}'),
        (8,  E'Boutique E\u0301te\u0301 Indien',     'ete-indien',         '{"currency": "CAD", "locale": "fr-CA"}'),
        (9,  'مؤسسة النخلة التجارية',                'al-nakhla',          '{"currency": "USD", "locale": "ar-AE"}'),
        (10, 'Outback Machinery',                    'outback-machinery',  '{"currency": null, "locale": "en-AU"}'),
        (11, 'Helvetia Uhrwerke',                    'helvetia-uhrwerke',  '{"currency": "CHF", "locale": "de-CH"}'),
        (12, '上海晨光电子',                         'chenguang',          '{"currency": "CNY", "locale": "zh-CN"}'),
        (13, 'भारत मसाला कंपनी',                     'bharat-masala',      '{"currency": "INR", "locale": "hi-IN"}'),
        (14, 'Padaria São João',                     'padaria-sao-joao',   '{"currency": "BRL", "locale": "pt-BR"}'),
        (15, 'Caledonian Tweed',                     'caledonian-tweed',   '{"theme": "dark"}'),
        (16, 'Ελληνικό Λάδι',                        'elliniko-ladi',      '{"currency": "EUR", "locale": "el-GR"}'),
        (17, 'Сибирский лес',                        'sibirskiy-les',      '{"currency": "EUR", "locale": "ru-RU"}'),
        (18, 'חברת הדקל',                            'hadekel',            '{"currency": "USD", "locale": "he-IL"}'),
        (19, 'Kangaroo Point Surf 🏄',               'kangaroo-point',     '{"currency": "AUD", "locale": "en-AU"}'),
        (20, 'Tiny Robots 🤖',                       'tiny-robots',        '{"beta": true}'),
        (21, '서울 로봇',                            'seoul-robot',        '{"currency": "JPY", "locale": "ko-KR"}'),
        (22, 'O''Malley & Daughters',                'omalley-daughters',  '{"currency": "GBP", "locale": "en-IE"}'),
        (23, 'Quiet Harbour',                        'quiet-harbour',      '{}'),
        (24, 'Late Joiner',                          'late-joiner',        NULL)
),
ranked AS (
    SELECT number::integer,
           current_setting('mantis.scale')::numeric
               * power(number::numeric, -1.25) / sum(power(number::numeric, -1.25)) OVER () AS size
    FROM generate_series(1, greatest(24, ceil(24 * power(current_setting('mantis.scale')::numeric, 0.25)))) AS number
)
SELECT number,
       number * 10000000::bigint AS base,
       pg_temp.id('organization', number) AS org_id,
       coalesce(named.name, 'Organisation ' || number) AS name,
       coalesce(named.slug, 'organisation-' || number) AS slug,
       CASE WHEN named.number IS NULL THEN '{"currency": "USD"}' ELSE named.settings END AS settings,
       CASE WHEN named.settings ->> 'currency' = 'JPY' THEN 1 ELSE 0.01 END AS cent,
       greatest(3,  round(600 * size))::bigint AS members,
       greatest(2,  round(1500 * size))::bigint AS suppliers,
       greatest(4,  round(8000 * size))::bigint AS items,
       greatest(3,  round(8000 * size))::bigint AS orders,
       greatest(12, round(20000 * size))::bigint AS customers,
       greatest(5,  round(30000 * size))::bigint AS interactions,
       greatest(3,  round(14000 * size))::bigint AS tickets,
       greatest(2,  round(3000 * size))::bigint AS conversations,
       greatest(1,  round(300 * size))::bigint AS datasets,
       greatest(1,  round(400 * size))::bigint AS templates,
       greatest(1,  round(200 * size))::bigint AS connectors,
       greatest(1,  round(300 * size))::bigint AS pipelines,
       greatest(5,  round(9000 * size))::bigint AS executions,
       greatest(2,  round(800 * size))::bigint AS imports,
       greatest(2,  round(8000 * size))::bigint AS logs,
       greatest(2,  round(400 * size))::bigint AS dashboards,
       greatest(1,  round(300 * size))::bigint AS alerts,
       greatest(5,  round(30000 * size))::bigint AS metrics,
       greatest(3,  round(12000 * size))::bigint AS notices,
       greatest(9,  round(80000 * size))::bigint AS audits
FROM ranked
LEFT JOIN named USING (number);

INSERT INTO organization (id, name, slug, plan_type, settings, created_at, updated_at)
SELECT org_id,
       name,
       slug,
       CASE
           WHEN number <= 4 THEN 'enterprise'
           WHEN number <= 12 THEN 'professional'
           ELSE 'starter'
       END::organization_plan,
       settings,
       pg_temp.moment('organization', number) - interval '3 years',
       pg_temp.moment('organization', number) - interval '2 years'
FROM tenant;

-- One user more than there are profiles in each of the first six organisations: the first blemish.
CREATE TEMPORARY TABLE person ON COMMIT DROP AS
SELECT n,
       pg_temp.id('user', n) AS user_id,
       org_id,
       n <= base + members AS has_profile,
       'user.' || n || '@' || slug || '.example' AS email,
       CASE
           WHEN n = base + 1 THEN 'admin'
           ELSE pg_temp.pick('{ops_manager,ai_team,cs_agent,cs_agent,cs_agent,exec,integrations}'::text[], 'role', n)
       END AS role,
       pg_temp.moment('user', n) - interval '2 years' AS created_at
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + members + CASE WHEN number <= 6 THEN 1 ELSE 0 END) AS n;

DO $$
BEGIN
    IF to_regclass('auth.users') IS NOT NULL THEN
        INSERT INTO auth.users (id, email, created_at)
        SELECT user_id, email, created_at
        FROM person;
    ELSE
        INSERT INTO auth.users_extended (id, email, org_id, role)
        SELECT user_id, email, org_id, role
        FROM person;
    END IF;
END
$$;

INSERT INTO profile (
    id, org_id, role, display_name, avatar_url, settings, last_seen_at, is_active, created_at, updated_at
)
SELECT user_id,
       org_id,
       role::user_role,
       pg_temp.person('profile', n),
       CASE WHEN pg_temp.chance('avatar', n, 60) THEN 'https://avatars.example/' || user_id END,
       CASE
           WHEN pg_temp.chance('profile settings', n, 90)
               THEN jsonb_build_object('theme', pg_temp.pick('{light,dark}'::text[], 'theme', n))
       END,
       CASE WHEN pg_temp.chance('seen', n, 85) THEN pg_temp.moment('last seen', n) END,
       pg_temp.chance('active', n, 92),
       created_at,
       created_at + pg_temp.roll('profile updated', n, 8000) * interval '1 hour'
FROM person
WHERE has_profile;


------------------
-- Supply chain --
------------------

INSERT INTO supplier (
    id, org_id, name, contact_email, contact_phone, address, risk_score, status, payment_terms, lead_time_days,
    certifications, notes, created_at, updated_at
)
SELECT pg_temp.id('supplier', n),
       org_id,
       pg_temp.company('supplier', n),
       CASE
           WHEN pg_temp.chance('supplier email', n, 90)
               THEN 'sales.' || n || '@'
                   || pg_temp.pick('{supplier.example,lieferant.example,bücher.example}'::text[], 'supplier domain', n)
       END,
       CASE
           WHEN pg_temp.chance('supplier phone', n, 70)
               THEN '+44 20 7946 ' || lpad(pg_temp.roll('supplier phone number', n, 1000)::text, 4, '0')
       END,
       CASE WHEN pg_temp.chance('supplier address', n, 80) THEN
           jsonb_build_object(
               'city', pg_temp.pick('{Berlin,London,大阪,São Paulo,القاهرة,Toronto,Київ,Łódź}'::text[], 'supplier city', n),
               'postcode', lpad(pg_temp.roll('supplier postcode', n, 100000)::text, 5, '0')
           )
       END,
       pg_temp.low('risk', n, 101),
       pg_temp.pick(
           '{active,active,active,active,inactive,suspended,pending_approval,blocked,under_review,NULL}'::supplier_status[],
           'supplier status',
           n
       ),
       pg_temp.pick('{net 30,net 30,net 60,prepaid,NULL}'::text[], 'terms', n),
       pg_temp.low('lead time', n, 120),
       pg_temp.pick(
           '{"{}","{ISO 9001}","{ISO 9001,ISO 14001}","{FSC,\"Fair Trade\"}",NULL}'::text[],
           'certifications',
           n
       )::text[],
       CASE WHEN pg_temp.chance('supplier notes', n, 30) THEN pg_temp.sentence('supplier', n) END,
       pg_temp.moment('supplier', n) - interval '1 year',
       pg_temp.moment('supplier', n) - interval '1 year' + pg_temp.roll('supplier updated', n, 8000) * interval '1 hour'
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + suppliers) AS n;

INSERT INTO inventory_item (
    id, org_id, sku, name, description, category, unit_price, quantity_on_hand, quantity_reserved,
    reorder_point, max_stock_level, unit_of_measure, supplier_id, barcode, location, is_active, created_at,
    updated_at
)
SELECT pg_temp.id('inventory_item', n),
       org_id,
       'SKU-' || lpad((n - base)::text, 7, '0'),
       pg_temp.pick(
           '{Bolt,Nut,Gear,Sensor,Cable,Filter,Pump,Käse,Öl,お茶,螺丝,Кабель,صمام,Helm 🪖}'::text[],
           'item',
           n
       ) || ' ' || pg_temp.roll('model', n, 9000),
       CASE WHEN pg_temp.chance('item description', n, 60) THEN pg_temp.sentence('item', n) END,
       pg_temp.pick(
           ARRAY[
               'raw_materials', 'components', 'components', 'finished_goods', 'finished_goods', 'consumables',
               'services', 'packaging', 'tools', 'safety_equipment'
           ]::inventory_category[],
           'category',
           n
       ),
       CASE WHEN pg_temp.chance('no price', n, 2) THEN NULL ELSE pg_temp.low('item price', n, 100000) * cent END,
       on_hand,
       on_hand * pg_temp.low('reserved', n, 101) / 100,
       pg_temp.low('reorder', n, 200),
       CASE WHEN pg_temp.chance('max stock', n, 70) THEN 200 + pg_temp.roll('max stock level', n, 2000) END,
       pg_temp.pick('{each,each,each,kg,m,l,box,NULL}'::text[], 'unit', n),
       CASE
           WHEN pg_temp.chance('has supplier', n, 85)
               THEN pg_temp.one_of('supplier', base, suppliers, 'item supplier', n)
       END,
       CASE WHEN pg_temp.chance('barcode', n, 50) THEN lpad(n::text, 13, '4') END,
       pg_temp.pick('{A-01,A-02,B-11,C-07,"Halle 3",冷蔵庫,NULL}'::text[], 'location', n),
       pg_temp.chance('item active', n, 93),
       pg_temp.moment('item', n) - interval '1 year',
       pg_temp.moment('item', n) - interval '1 year' + pg_temp.roll('item updated', n, 8000) * interval '1 hour'
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + items) AS n
CROSS JOIN LATERAL (
    SELECT CASE WHEN pg_temp.chance('sold out', n, 6) THEN 0 ELSE pg_temp.low('on hand', n, 1500) END AS on_hand
) AS stock;

CREATE TEMPORARY TABLE drafted_order ON COMMIT DROP AS
SELECT tenant.*,
       n,
       pg_temp.moment('order', n) AS created_at,
       pg_temp.moment('order', n)::date AS order_date,
       pg_temp.pick(
           ARRAY[
               'draft', 'pending_approval', 'approved', 'sent', 'sent', 'acknowledged', 'partially_received',
               'completed', 'completed', 'completed', 'completed', 'cancelled', 'on_hold'
           ]::po_status[],
           'order status',
           n
       ) AS status
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + orders) AS n;

INSERT INTO purchase_order_item (
    id, purchase_order_id, inventory_item_id, quantity, unit_price, quantity_received, created_at, updated_at
)
SELECT pg_temp.id('purchase_order_item', line),
       pg_temp.id('purchase_order', n),
       pg_temp.one_of('inventory_item', base, items, 'ordered item', line),
       ordered,
       pg_temp.low('ordered price', line, 50000) * cent,
       CASE status
           WHEN 'completed' THEN ordered
           WHEN 'partially_received' THEN pg_temp.roll('received', line, ordered + 1)
           ELSE 0
       END,
       created_at,
       created_at + pg_temp.roll('line updated', line, 500) * interval '1 hour'
FROM drafted_order
CROSS JOIN LATERAL generate_series(n * 10 + 1, n * 10 + 1 + pg_temp.roll('lines', n, 5)) AS line
CROSS JOIN LATERAL (SELECT 1 + pg_temp.low('ordered', line, 200) AS ordered) AS amount;

INSERT INTO purchase_order (
    id, org_id, supplier_id, po_number, status, total_amount, tax_amount, shipping_amount, order_date,
    expected_delivery_date, actual_delivery_date, created_by, approved_by, approved_at, notes, created_at,
    updated_at
)
SELECT pg_temp.id('purchase_order', n),
       org_id,
       pg_temp.one_of('supplier', base, suppliers, 'order supplier', n),
       'PO-' || lpad((n - base)::text, 7, '0'),
       status,
       total,
       round(total * pg_temp.pick('{0,7,19,20}'::numeric[], 'tax', n) / 100 / cent) * cent,
       pg_temp.low('shipping', n, 20000) * cent,
       order_date,
       CASE
           WHEN pg_temp.chance('expected', n, 90) THEN order_date + 3 + pg_temp.roll('expected days', n, 60)::integer
       END,
       CASE WHEN status = 'completed' THEN order_date + pg_temp.roll('delivery days', n, 70)::integer END,
       CASE
           WHEN pg_temp.chance('order has creator', n, 95)
               THEN pg_temp.one_of('user', base, members, 'order creator', n)
       END,
       CASE WHEN approved THEN pg_temp.one_of('user', base, members, 'approver', n) END,
       CASE WHEN approved THEN created_at + pg_temp.roll('approval hours', n, 100) * interval '1 hour' END,
       CASE WHEN pg_temp.chance('order notes', n, 20) THEN pg_temp.sentence('order', n) END,
       created_at,
       created_at + pg_temp.roll('order updated', n, 500) * interval '1 hour'
FROM drafted_order
JOIN (
    SELECT purchase_order_id, sum(total_price) AS total
    FROM purchase_order_item
    GROUP BY purchase_order_id
) AS lines ON lines.purchase_order_id = pg_temp.id('purchase_order', n)
CROSS JOIN LATERAL (SELECT status NOT IN ('draft', 'pending_approval', 'cancelled', 'on_hold') AS approved) AS decision;


---------------------------
-- Customers and support --
---------------------------

INSERT INTO customer_interaction (
    id, org_id, customer_id, user_id, channel, type, subject, content, sentiment, duration_minutes, metadata,
    timestamp
)
SELECT pg_temp.id('customer_interaction', n),
       org_id,
       pg_temp.id('customer', base + 1 + pg_temp.low('interaction customer', n, customers)),
       CASE
           WHEN pg_temp.chance('interaction has user', n, 80)
               THEN pg_temp.one_of('user', base, members, 'interaction user', n)
       END,
       pg_temp.pick(
           '{email,email,email,phone,phone,chat,chat,social,in_person,api,web}'::interaction_channel[],
           'channel',
           n
       ),
       pg_temp.pick(
           '{inquiry,inquiry,inquiry,complaint,compliment,feature_request,bug_report,billing,onboarding,training}'::interaction_type[],
           'interaction',
           n
       ),
       CASE WHEN pg_temp.chance('subject', n, 70) THEN pg_temp.sentence('interaction subject', n) END,
       pg_temp.sentence('interaction', n),
       pg_temp.pick(
           '{very_negative,negative,neutral,neutral,neutral,positive,positive,very_positive,NULL,NULL}'::sentiment_score[],
           'sentiment',
           n
       ),
       CASE WHEN pg_temp.chance('duration', n, 50) THEN 1 + pg_temp.low('minutes', n, 120) END,
       CASE WHEN pg_temp.chance('interaction metadata', n, 90) THEN '{}' END::jsonb,
       pg_temp.edge_or_moment('interaction', n)
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + interactions) AS n;

INSERT INTO customer (
    id, org_id, name, email, phone, company, segment, status, lifetime_value, acquisition_date,
    last_interaction_date, address, metadata, tags, created_at, updated_at
)
SELECT pg_temp.id('customer', n),
       org_id,
       pg_temp.person('customer', n),
       CASE
           WHEN n - base <= 12 OR pg_temp.chance('email', n, 92)
               THEN 'customer.' || n || '@'
                   || pg_temp.pick('{mail.example,post.example,correo.example,bücher.example}'::text[], 'domain', n)
       END,
       CASE
           WHEN pg_temp.chance('phone', n, 60)
               THEN '+1 555 01' || lpad(pg_temp.roll('phone number', n, 100)::text, 2, '0')
       END,
       CASE WHEN pg_temp.chance('has company', n, 50) THEN pg_temp.company('customer', n) END,
       pg_temp.pick(
           '{enterprise,mid_market,mid_market,smb,smb,smb,startup,individual,individual,NULL}'::customer_segment[],
           'segment',
           n
       ),
       pg_temp.pick(
           '{active,active,active,active,active,inactive,prospect,prospect,churned,suspended}'::customer_status[],
           'customer status',
           n
       ),
       CASE WHEN pg_temp.chance('no value', n, 3) THEN NULL ELSE pg_temp.low('lifetime value', n, 5000000) * cent END,
       acquired,
       CASE WHEN acquired IS NULL OR last_day >= acquired THEN last_day END,
       CASE WHEN pg_temp.chance('address', n, 75) THEN
           jsonb_build_object(
               'street',
               pg_temp.pick('{Main Street,Hauptstraße,Rue de l’Église,Улица Ленина,شارع النيل,中山路}'::text[], 'street', n)
                   || ' ' || 1 + pg_temp.roll('house', n, 200),
               'country',
               pg_temp.pick('{US,DE,GB,FR,JP,CN,EG,BR,IN}'::text[], 'country', n)
           )
       END,
       jsonb_build_object(
           'source', pg_temp.pick('{web,fair,referral,import}'::text[], 'source', n),
           'score', pg_temp.roll('score', n, 100)
       ),
       pg_temp.pick(
           '{"{}","{}","{vip}","{newsletter}","{vip,newsletter}","{日本,\"early adopter\"}",NULL}'::text[],
           'tags',
           n
       )::text[],
       created,
       greatest(created, last_day)
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + customers) AS n
CROSS JOIN LATERAL (
    SELECT pg_temp.moment('customer', n) - interval '200 days' AS created,
           CASE WHEN pg_temp.chance('acquired', n, 90) THEN pg_temp.moment('acquisition', n)::date - 300 END AS acquired
) AS dates
LEFT JOIN (
    SELECT customer_id, max((timestamp AT TIME ZONE 'UTC')::date) AS last_day
    FROM customer_interaction
    GROUP BY customer_id
) AS contacts ON contacts.customer_id = pg_temp.id('customer', n);

INSERT INTO ticket_comment (id, ticket_id, user_id, content, is_internal, is_resolution, attachments, created_at)
SELECT pg_temp.id('ticket_comment', remark),
       pg_temp.id('support_ticket', n),
       CASE
           WHEN pg_temp.chance('by staff', remark, 60)
               THEN pg_temp.one_of('user', base, members, 'comment user', remark)
       END,
       pg_temp.sentence('comment', remark),
       pg_temp.chance('internal', remark, 20),
       pg_temp.chance('resolution', remark, 10),
       CASE WHEN pg_temp.chance('attachment', remark, 10) THEN ARRAY['https://files.example/' || remark] ELSE '{}' END,
       pg_temp.moment('ticket', n) + (remark - n * 10) * (1 + pg_temp.roll('comment pace', n, 40)) * interval '1 hour'
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + tickets) AS n
CROSS JOIN LATERAL generate_series(n * 10 + 1, n * 10 + pg_temp.roll('comments', n, 5)) AS remark;

INSERT INTO support_ticket (
    id, org_id, customer_id, assigned_to, ticket_number, title, description, priority, status, category, tags,
    resolution_notes, first_response_at, resolved_at, closed_at, sla_due_at, created_at, updated_at
)
SELECT pg_temp.id('support_ticket', n),
       org_id,
       pg_temp.id('customer', base + 1 + pg_temp.low('ticket customer', n, customers)),
       CASE WHEN pg_temp.chance('assigned', n, 75) THEN pg_temp.one_of('user', base, members, 'assignee', n) END,
       'TKT-' || lpad((n - base)::text, 6, '0'),
       pg_temp.sentence('ticket title', n),
       pg_temp.sentence('ticket', n),
       pg_temp.pick(
           '{low,low,medium,medium,medium,medium,high,high,urgent,critical}'::ticket_priority[],
           'priority',
           n
       ),
       state,
       pg_temp.pick('{billing,delivery,login,returns,NULL}'::text[], 'ticket category', n),
       pg_temp.pick('{"{}","{}","{billing}","{refund,urgent}","{возврат}",NULL}'::text[], 'ticket tags', n)::text[],
       CASE WHEN state IN ('resolved', 'closed') THEN pg_temp.sentence('resolution', n) END,
       answered,
       CASE WHEN state IN ('resolved', 'closed') THEN resolved END,
       CASE WHEN state = 'closed' THEN resolved + pg_temp.roll('closing hours', n, 200) * interval '1 hour' END,
       CASE
           WHEN pg_temp.chance('sla', n, 70)
               THEN created + pg_temp.pick('{4,8,24,72}'::integer[], 'sla hours', n) * interval '1 hour'
       END,
       created,
       greatest(created, answered, CASE WHEN state IN ('resolved', 'closed') THEN resolved END)
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + tickets) AS n
CROSS JOIN LATERAL (
    SELECT pg_temp.moment('ticket', n) AS created,
           pg_temp.moment('ticket', n) + (1 + pg_temp.low('resolution hours', n, 500)) * interval '1 hour' AS resolved,
           pg_temp.pick(
               '{open,open,in_progress,pending_customer,resolved,resolved,closed,closed,closed,escalated}'::ticket_status[],
               'ticket status',
               n
           ) AS state
) AS course
LEFT JOIN (
    SELECT ticket_id, min(created_at) AS answered
    FROM ticket_comment
    WHERE user_id IS NOT NULL
      AND is_internal IS NOT TRUE
    GROUP BY ticket_id
) AS answers ON answers.ticket_id = pg_temp.id('support_ticket', n);

-- New tickets go on after the highest number given here.
SELECT setval('support_ticket_number_seq', max(tickets)) FROM tenant;


------------------
-- AI workspace --
------------------

INSERT INTO ai_message (id, conversation_id, role, content, tokens_used, response_time_ms, metadata, timestamp)
SELECT pg_temp.id('ai_message', turn),
       pg_temp.id('ai_conversation', n),
       CASE
           WHEN turn = n * 100 + 1 AND pg_temp.chance('system', n, 30) THEN 'system'
           WHEN turn % 2 = 1 THEN 'user'
           ELSE 'assistant'
       END::ai_message_role,
       pg_temp.sentence('message', turn),
       CASE WHEN pg_temp.chance('no tokens', turn, 5) THEN NULL ELSE pg_temp.low('tokens', turn, 4000) END,
       CASE WHEN turn % 2 = 0 THEN pg_temp.low('response', turn, 30000) END,
       '{}',
       least(
           pg_temp.edge_or_moment('conversation', n)
               + (turn - n * 100 - 1) * (10 + pg_temp.roll('pace', n, 600)) * interval '1 second',
           timestamptz '2025-09-30 23:59:59.999999+00'
       )
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + conversations) AS n
CROSS JOIN LATERAL generate_series(n * 100 + 1, n * 100 + pg_temp.low('turns', n, 34)) AS turn;

INSERT INTO ai_conversation (
    id, org_id, user_id, title, model, total_messages, total_tokens_used, tags, is_pinned, is_archived,
    created_at, updated_at
)
SELECT pg_temp.id('ai_conversation', n),
       org_id,
       pg_temp.one_of('user', base, members, 'conversation user', n),
       pg_temp.sentence('conversation', n),
       pg_temp.pick('{small-1,small-1,medium-2,large-3}'::text[], 'model', n),
       coalesce(messages, 0),
       coalesce(tokens, 0),
       pg_temp.pick('{"{}","{}","{report}","{draft,価格}",NULL}'::text[], 'conversation tags', n)::text[],
       pg_temp.chance('pinned', n, 5),
       pg_temp.chance('archived', n, 20),
       pg_temp.edge_or_moment('conversation', n),
       greatest(pg_temp.edge_or_moment('conversation', n), last_message)
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + conversations) AS n
LEFT JOIN (
    SELECT conversation_id, count(*) AS messages, sum(tokens_used) AS tokens, max(timestamp) AS last_message
    FROM ai_message
    GROUP BY conversation_id
) AS talk ON talk.conversation_id = pg_temp.id('ai_conversation', n);

INSERT INTO ai_dataset (
    id, org_id, name, description, data_type, file_url, file_size_bytes, record_count, schema_info, tags,
    is_public, created_by, created_at, updated_at
)
SELECT pg_temp.id('ai_dataset', n),
       org_id,
       'Dataset ' || pg_temp.sentence('dataset', n),
       CASE WHEN pg_temp.chance('dataset description', n, 50) THEN pg_temp.sentence('dataset description', n) END,
       pg_temp.pick('{csv,csv,json,xml,parquet,database,api}'::ai_dataset_type[], 'dataset type', n),
       CASE WHEN pg_temp.chance('dataset url', n, 70) THEN 'https://files.example/datasets/' || n END,
       CASE WHEN pg_temp.chance('dataset size', n, 70) THEN 1 + pg_temp.low('dataset bytes', n, 50000000000) END,
       CASE WHEN pg_temp.chance('dataset records', n, 70) THEN pg_temp.low('dataset record count', n, 2000000000) END,
       '{"columns": ["id", "name", "amount"]}',
       '{}',
       pg_temp.chance('dataset public', n, 10),
       pg_temp.one_of('user', base, members, 'dataset creator', n),
       pg_temp.moment('dataset', n),
       pg_temp.moment('dataset', n) + pg_temp.roll('dataset updated', n, 500) * interval '1 hour'
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + datasets) AS n;

INSERT INTO ai_prompt_template (
    id, org_id, name, description, template_text, category, variables, usage_count, is_public, created_by,
    created_at, updated_at
)
SELECT pg_temp.id('ai_prompt_template', n),
       org_id,
       'Template ' || pg_temp.sentence('template', n),
       CASE WHEN pg_temp.chance('template description', n, 50) THEN pg_temp.sentence('template description', n) END,
       'Summarise {{text}} in {{language}} 🌍',
       pg_temp.pick(
           '{analysis,generation,classification,summarization,translation,custom}'::ai_prompt_category[],
           'template category',
           n
       ),
       '{text,language}',
       pg_temp.low('usage', n, 5000),
       pg_temp.chance('template public', n, 10),
       pg_temp.one_of('user', base, members, 'template creator', n),
       pg_temp.moment('template', n),
       pg_temp.moment('template', n) + pg_temp.roll('template updated', n, 500) * interval '1 hour'
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + templates) AS n;


--------------------------------
-- Integration and automation --
--------------------------------

INSERT INTO integration_connector (
    id, org_id, name, provider, config, credentials_encrypted, status, last_sync_at, sync_frequency_minutes,
    error_message, retry_count, max_retries, created_by, created_at, updated_at
)
SELECT pg_temp.id('integration_connector', n),
       org_id,
       'Connector ' || n - base,
       pg_temp.pick(
           ARRAY[
               'salesforce', 'hubspot', 'zendesk', 'slack', 'microsoft_teams', 'shopify', 'stripe', 'quickbooks',
               'mailchimp', 'google_workspace', 'aws', 'azure', 'custom_api', 'webhook', 'csv_upload', 'database'
           ]::integration_provider[],
           'provider',
           n
       ),
       jsonb_build_object('region', pg_temp.pick('{eu,us,ap}'::text[], 'region', n)),
       CASE WHEN pg_temp.chance('credentials', n, 80) THEN 'synthetic:' || md5(n::text) END,
       state,
       CASE WHEN state = 'active' THEN pg_temp.moment('sync', n) END,
       pg_temp.pick('{5,15,60,1440}'::integer[], 'frequency', n),
       CASE WHEN state = 'error' THEN 'timeout after 30 s' END,
       CASE WHEN state = 'error' THEN pg_temp.roll('retries', n, 4) ELSE 0 END,
       3,
       pg_temp.one_of('user', base, members, 'connector creator', n),
       pg_temp.moment('connector', n) - interval '1 year',
       pg_temp.moment('connector', n) - interval '1 year' + pg_temp.roll('connector updated', n, 8000) * interval '1 hour'
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + connectors) AS n
CROSS JOIN LATERAL (
    SELECT pg_temp.pick(
               '{active,active,active,inactive,error,configuring,authenticating}'::connector_status[],
               'connector status',
               n
           ) AS state
) AS condition;

INSERT INTO pipeline_execution (
    id, pipeline_id, status, trigger_data, execution_data, error_message, records_processed, started_at,
    completed_at, duration_ms
)
SELECT pg_temp.id('pipeline_execution', n),
       pg_temp.id('automation_pipeline', base + 1 + pg_temp.low('executed pipeline', n, pipelines)),
       state,
       '{}',
       '{}',
       CASE WHEN state IN ('failed', 'timeout') THEN pg_temp.sentence('execution error', n) END,
       pg_temp.low('processed', n, 100000),
       started,
       CASE WHEN state NOT IN ('pending', 'running') THEN started + took * interval '1 millisecond' END,
       CASE WHEN state NOT IN ('pending', 'running') THEN took END
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + executions) AS n
CROSS JOIN LATERAL (
    SELECT pg_temp.edge_or_moment('execution', n) AS started,
           pg_temp.low('took', n, 900000) AS took,
           pg_temp.pick(
               '{completed,completed,completed,completed,completed,completed,failed,timeout,cancelled,running,pending}'::execution_status[],
               'execution status',
               n
           ) AS state
) AS run;

INSERT INTO automation_pipeline (
    id, org_id, name, description, trigger_type, trigger_config, action_config, status, execution_count,
    last_execution_at, next_execution_at, error_count, created_by, created_at, updated_at
)
SELECT pg_temp.id('automation_pipeline', n),
       org_id,
       'Pipeline ' || n - base,
       CASE WHEN pg_temp.chance('pipeline description', n, 50) THEN pg_temp.sentence('pipeline', n) END,
       pg_temp.pick(
           '{manual,schedule,schedule,webhook,file_upload,data_change,api_call}'::trigger_type[],
           'trigger',
           n
       ),
       '{"cron": "0 6 * * *"}',
       '{"steps": [{"do": "sync"}]}',
       pg_temp.pick('{active,active,active,inactive,error,paused}'::pipeline_status[], 'pipeline status', n),
       coalesce(executions_seen, 0),
       last_started,
       CASE
           WHEN pg_temp.chance('next execution', n, 60)
               THEN timestamptz '2025-10-01 00:00+00' + pg_temp.roll('next hours', n, 720) * interval '1 hour'
       END,
       coalesce(errors_seen, 0),
       pg_temp.one_of('user', base, members, 'pipeline creator', n),
       pg_temp.moment('pipeline', n) - interval '1 year',
       greatest(pg_temp.moment('pipeline', n) - interval '1 year', last_started)
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + pipelines) AS n
LEFT JOIN (
    SELECT pipeline_id,
           count(*) AS executions_seen,
           count(*) FILTER (WHERE status IN ('failed', 'timeout')) AS errors_seen,
           max(started_at) AS last_started
    FROM pipeline_execution
    GROUP BY pipeline_id
) AS runs ON runs.pipeline_id = pg_temp.id('automation_pipeline', n);

INSERT INTO data_import (
    id, org_id, connector_id, file_name, file_size_bytes, file_url, target_table, mapping_config, record_count,
    processed_count, error_count, status, error_log, preview_data, started_at, completed_at, created_by,
    created_at, updated_at
)
SELECT pg_temp.id('data_import', n),
       org_id,
       CASE
           WHEN pg_temp.chance('import connector', n, 50)
               THEN pg_temp.one_of('integration_connector', base, connectors, 'import connector', n)
       END,
       pg_temp.pick('{customers.csv,Bestände.xlsx,顧客.csv,items.json}'::text[], 'file', n),
       1 + pg_temp.low('import bytes', n, 100000000),
       CASE WHEN pg_temp.chance('import url', n, 60) THEN 'https://files.example/imports/' || n END,
       pg_temp.pick('{customer,inventory_item,supplier}'::text[], 'target', n),
       '{"name": "Name"}',
       records,
       CASE WHEN state = 'completed' THEN records ELSE records / 2 END,
       CASE WHEN state = 'failed' THEN records / 10 ELSE 0 END,
       state,
       '[]',
       '[{"name": "Zoë"}]',
       CASE WHEN state <> 'pending' THEN created + interval '1 minute' END,
       CASE
           WHEN state IN ('completed', 'failed')
               THEN created + interval '2 minutes' + pg_temp.roll('import seconds', n, 3000) * interval '1 second'
       END,
       pg_temp.one_of('user', base, members, 'import creator', n),
       created,
       created + interval '1 hour'
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + imports) AS n
CROSS JOIN LATERAL (
    SELECT pg_temp.moment('import', n) AS created,
           pg_temp.low('import records', n, 50000) AS records,
           pg_temp.pick(
               '{completed,completed,completed,completed,failed,cancelled,processing,pending}'::import_status[],
               'import status',
               n
           ) AS state
) AS course;

INSERT INTO integration_log (id, org_id, connector_id, pipeline_id, import_id, level, message, metadata, timestamp)
SELECT pg_temp.id('integration_log', n),
       org_id,
       CASE WHEN source = 0 THEN pg_temp.one_of('integration_connector', base, connectors, 'log connector', n) END,
       CASE WHEN source = 1 THEN pg_temp.one_of('automation_pipeline', base, pipelines, 'log pipeline', n) END,
       CASE WHEN source = 2 THEN pg_temp.one_of('data_import', base, imports, 'log import', n) END,
       pg_temp.pick('{debug,info,info,info,info,info,warn,error,fatal}'::text[], 'level', n),
       pg_temp.sentence('log', n),
       '{}',
       pg_temp.moment('log', n)
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + logs) AS n
CROSS JOIN LATERAL (SELECT pg_temp.roll('log source', n, 4) AS source) AS origin;


----------------
-- Dashboards --
----------------

INSERT INTO dashboard (
    id, org_id, name, description, layout_config, theme_config, is_public, is_template, template_category,
    view_count, last_viewed_at, refresh_interval_seconds, created_by, created_at, updated_at
)
SELECT pg_temp.id('dashboard', n),
       org_id,
       pg_temp.pick(
           '{Sales,Umsatz,Support,Stock,売上,Продажи,المبيعات,"KPIs 📈"}'::text[],
           'dashboard',
           n
       ) || ' ' || n - base,
       CASE WHEN pg_temp.chance('dashboard description', n, 40) THEN pg_temp.sentence('dashboard', n) END,
       '{"columns": 12}',
       CASE WHEN pg_temp.chance('dashboard theme', n, 80) THEN '{"mode": "light"}' END::jsonb,
       pg_temp.chance('dashboard public', n, 15),
       pg_temp.chance('dashboard template', n, 10),
       CASE
           WHEN pg_temp.chance('dashboard template', n, 10)
               THEN pg_temp.pick('{sales,support,stock}'::text[], 'dashboard category', n)
       END,
       pg_temp.low('views', n, 10000),
       CASE WHEN pg_temp.chance('viewed', n, 80) THEN pg_temp.moment('viewed', n) END,
       pg_temp.pick('{60,300,3600,NULL}'::integer[], 'refresh', n),
       pg_temp.one_of('user', base, members, 'dashboard creator', n),
       pg_temp.moment('dashboard', n) - interval '1 year',
       pg_temp.moment('dashboard', n) - interval '1 year' + pg_temp.roll('dashboard updated', n, 8000) * interval '1 hour'
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + dashboards) AS n;

INSERT INTO widget (
    id, org_id, dashboard_id, name, description, type, config, data_source_config, position, size, is_visible,
    cache_ttl_seconds, last_refreshed_at, created_at, updated_at
)
SELECT pg_temp.id('widget', tile),
       org_id,
       pg_temp.id('dashboard', n),
       'Widget ' || tile - n * 10,
       CASE WHEN pg_temp.chance('widget description', tile, 30) THEN pg_temp.sentence('widget', tile) END,
       pg_temp.pick(
           ARRAY[
               'kpi_card', 'kpi_card', 'chart_line', 'chart_bar', 'chart_pie', 'chart_area', 'table', 'list',
               'gauge', 'heatmap', 'timeline', 'text', 'iframe', 'ai_insight'
           ]::widget_type[],
           'widget type',
           tile
       ),
       '{}',
       jsonb_build_object(
           'source',
           pg_temp.pick(
               '{tickets_by_status,customers_by_segment,orders_by_status,stock_by_category}'::text[],
               'widget source',
               tile
           )
       ),
       jsonb_build_object('x', (tile - n * 10 - 1) % 3 * 4, 'y', (tile - n * 10 - 1) / 3 * 3),
       '{"width": 4, "height": 3}',
       pg_temp.chance('visible', tile, 95),
       pg_temp.pick('{60,300,NULL}'::integer[], 'ttl', tile),
       CASE WHEN pg_temp.chance('refreshed', tile, 80) THEN pg_temp.moment('refreshed', tile) END,
       pg_temp.moment('dashboard', n) - interval '1 year',
       pg_temp.moment('dashboard', n) - interval '1 year' + pg_temp.roll('widget updated', tile, 8000) * interval '1 hour'
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + dashboards) AS n
CROSS JOIN LATERAL generate_series(n * 10 + 1, n * 10 + 1 + pg_temp.roll('widgets', n, 9)) AS tile;

INSERT INTO widget_data_cache (id, widget_id, data_hash, cached_data, expires_at, created_at)
SELECT pg_temp.id('widget_data_cache', result),
       pg_temp.id('widget', tile),
       md5(result::text),
       jsonb_build_object(
           'figures',
           jsonb_build_object('open', pg_temp.roll('open', result, 100), 'closed', pg_temp.roll('closed', result, 1000))
       ),
       pg_temp.moment('cached', result) + interval '5 minutes',
       pg_temp.moment('cached', result)
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + dashboards) AS n
CROSS JOIN LATERAL generate_series(n * 10 + 1, n * 10 + 1 + pg_temp.roll('widgets', n, 9)) AS tile
CROSS JOIN LATERAL generate_series(tile * 10 + 1, tile * 10 + pg_temp.roll('results', tile, 3)) AS result;

-- Neighbours in a row of members are different members: no user has a favourite twice.
INSERT INTO dashboard_favorite (id, user_id, dashboard_id, created_at)
SELECT pg_temp.id('dashboard_favorite', star),
       pg_temp.id('user', base + 1 + (pg_temp.roll('first fan', n, members) + star) % members),
       pg_temp.id('dashboard', n),
       pg_temp.moment('favorite', star)
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + dashboards) AS n
CROSS JOIN LATERAL generate_series(n * 10 + 1, n * 10 + pg_temp.roll('fans', n, 4)) AS star;

INSERT INTO dashboard_share (id, dashboard_id, shared_by, shared_with, share_token, permissions, expires_at, created_at)
SELECT pg_temp.id('dashboard_share', gift),
       pg_temp.id('dashboard', n),
       pg_temp.one_of('user', base, members, 'giver', gift),
       CASE WHEN by_name THEN pg_temp.one_of('user', base, members, 'receiver', gift) END,
       CASE WHEN NOT by_name THEN 'share-' || md5(current_setting('mantis.seed') || gift) END,
       '{"view": true}',
       CASE WHEN pg_temp.chance('share expires', gift, 50) THEN pg_temp.moment('share', gift) + interval '30 days' END,
       pg_temp.moment('share', gift)
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + dashboards) AS n
CROSS JOIN LATERAL generate_series(n * 10 + 1, n * 10 + pg_temp.roll('shares', n, 4)) AS gift
CROSS JOIN LATERAL (SELECT pg_temp.chance('by name', gift, 60) AS by_name) AS way;


-------------------------------------
-- Monitoring, notification, audit --
-------------------------------------

INSERT INTO alert_rule (
    id, org_id, name, description, metric_name, condition, severity, is_active, notification_channels,
    cooldown_minutes, last_triggered_at, created_by, created_at, updated_at
)
SELECT pg_temp.id('alert_rule', n),
       org_id,
       'Alert ' || n - base,
       CASE WHEN pg_temp.chance('alert description', n, 40) THEN pg_temp.sentence('alert', n) END,
       pg_temp.pick('{api.latency,api.errors,queue.depth,tickets.open}'::text[], 'alert metric', n),
       jsonb_build_object('above', pg_temp.roll('threshold', n, 1000)),
       pg_temp.pick('{info,warning,warning,error,alert,NULL}'::notification_type[], 'severity', n),
       pg_temp.chance('alert active', n, 80),
       '["email"]',
       pg_temp.pick('{5,15,60}'::integer[], 'cooldown', n),
       CASE WHEN pg_temp.chance('triggered', n, 40) THEN pg_temp.moment('triggered', n) END,
       pg_temp.one_of('user', base, members, 'alert creator', n),
       pg_temp.moment('alert', n) - interval '1 year',
       pg_temp.moment('alert', n) - interval '1 year' + pg_temp.roll('alert updated', n, 8000) * interval '1 hour'
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + alerts) AS n;

INSERT INTO system_metric (id, org_id, metric_name, metric_type, metric_value, unit, tags, source, timestamp)
SELECT pg_temp.id('system_metric', n),
       org_id,
       pg_temp.pick('{api.latency,api.latency,api.errors,queue.depth,tickets.open}'::text[], 'metric', n),
       pg_temp.pick('{gauge,gauge,counter,histogram,summary}'::metric_type[], 'metric', n),
       pg_temp.low('metric value', n, 1000000) / 1000.0,
       pg_temp.pick('{ms,ms,count,count,NULL}'::text[], 'metric', n),
       jsonb_build_object('host', 'node-' || pg_temp.roll('host', n, 4)),
       pg_temp.pick('{collector,collector,api,NULL}'::text[], 'metric source', n),
       pg_temp.edge_or_moment('metric', n)
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + metrics) AS n;

INSERT INTO notification (
    id, org_id, user_id, type, title, message, action_url, metadata, read_at, expires_at, created_at
)
SELECT pg_temp.id('notification', n),
       org_id,
       CASE WHEN pg_temp.chance('to one', n, 85) THEN pg_temp.one_of('user', base, members, 'notified', n) END,
       pg_temp.pick(
           '{info,info,info,success,warning,error,system,alert,reminder}'::notification_type[],
           'notification',
           n
       ),
       pg_temp.sentence('notification title', n),
       pg_temp.sentence('notification', n),
       CASE WHEN pg_temp.chance('action', n, 40) THEN '/tickets' END,
       CASE
           WHEN pg_temp.chance('about a ticket', n, 30)
               THEN jsonb_build_object('ticket_id', pg_temp.one_of('support_ticket', base, tickets, 'notified ticket', n))
           ELSE '{}'
       END,
       CASE
           WHEN pg_temp.chance('read', n, 70)
               THEN pg_temp.moment('notification', n) + pg_temp.low('read minutes', n, 20000) * interval '1 minute'
       END,
       CASE
           WHEN pg_temp.chance('notification expires', n, 30)
               THEN pg_temp.moment('notification', n) + interval '90 days'
       END,
       pg_temp.moment('notification', n)
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + notices) AS n;

-- Of 100 entries 4 tell of rows deleted since, which nobody will find, and 10 of people signing in and out.
INSERT INTO audit_log (
    id, org_id, user_id, action, table_name, record_id, old_data, new_data, ip_address, user_agent, timestamp
)
SELECT pg_temp.id('audit_log', n),
       CASE WHEN pg_temp.chance('audit of nobody', n, 1) THEN NULL ELSE org_id END,
       CASE
           WHEN pg_temp.chance('audit has user', n, 90) THEN pg_temp.one_of('user', base, members, 'audit user', n)
       END,
       act,
       about,
       record,
       CASE
           WHEN act IN ('UPDATE', 'DELETE')
               THEN jsonb_build_object('id', record, 'org_id', org_id, 'status', 'before', 'notes', pg_temp.sentence('audit before', n))
       END,
       CASE
           WHEN act IN ('INSERT', 'UPDATE')
               THEN jsonb_build_object('id', record, 'org_id', org_id, 'status', 'after', 'notes', pg_temp.sentence('audit after', n))
       END,
       CASE WHEN pg_temp.chance('ip', n, 70) THEN '192.0.2.0'::inet + pg_temp.roll('ip address', n, 256) END,
       pg_temp.pick('{Mozilla/5.0,mantis-mobile/3.1,curl/8.5,NULL}'::text[], 'agent', n),
       pg_temp.moment('audit', n)
FROM tenant
CROSS JOIN LATERAL generate_series(base + 1, base + audits) AS n
CROSS JOIN LATERAL (SELECT pg_temp.roll('audit action', n, 100) AS drawn) AS fate
CROSS JOIN LATERAL (
    SELECT CASE
               WHEN drawn < 36 THEN 'INSERT'
               WHEN drawn < 86 THEN 'UPDATE'
               WHEN drawn < 90 THEN 'DELETE'
               WHEN drawn < 97 THEN 'LOGIN'
               ELSE 'LOGOUT'
           END::audit_action AS act,
           CASE
               WHEN drawn >= 90 THEN 'profile'
               ELSE pg_temp.pick(
                   '{customer,customer,support_ticket,support_ticket,inventory_item,purchase_order,supplier}'::text[],
                   'audit table',
                   n
               )
           END AS about
) AS deed
CROSS JOIN LATERAL (
    SELECT CASE
        WHEN act = 'DELETE' THEN pg_temp.id('deleted row', n)
        WHEN about = 'customer' THEN pg_temp.one_of('customer', base, customers, 'audit record', n)
        WHEN about = 'support_ticket' THEN pg_temp.one_of('support_ticket', base, tickets, 'audit record', n)
        WHEN about = 'inventory_item' THEN pg_temp.one_of('inventory_item', base, items, 'audit record', n)
        WHEN about = 'purchase_order' THEN pg_temp.one_of('purchase_order', base, orders, 'audit record', n)
        WHEN about = 'supplier' THEN pg_temp.one_of('supplier', base, suppliers, 'audit record', n)
        ELSE pg_temp.one_of('user', base, members, 'audit record', n)
    END AS record
) AS target;


------------------------------
-- Extreme, and still valid --
------------------------------
-- All in the first organisation, whose rows are numbered from 10,000,001.

UPDATE customer
SET name = repeat('語', 200),
    lifetime_value = 9999999999.99
WHERE id = pg_temp.id('customer', 10000001);

UPDATE customer
SET name = '𝔛',
    lifetime_value = 0,
    acquisition_date = '1900-01-01'
WHERE id = pg_temp.id('customer', 10000002);

UPDATE customer
SET last_interaction_date = '9999-12-31',
    address = NULL,
    metadata = NULL,
    tags = NULL,
    segment = NULL,
    status = NULL
WHERE id = pg_temp.id('customer', 10000003);

UPDATE inventory_item
SET unit_price = 99999999.99,
    quantity_on_hand = 2147483647,
    quantity_reserved = 2147483647,
    max_stock_level = 2147483647
WHERE id = pg_temp.id('inventory_item', 10000001);

DELETE FROM purchase_order_item
WHERE purchase_order_id = pg_temp.id('purchase_order', 10000001)
  AND id <> pg_temp.id('purchase_order_item', 100000011);

UPDATE purchase_order_item
SET quantity = 100,
    unit_price = 99999999.99,
    quantity_received = 0
WHERE id = pg_temp.id('purchase_order_item', 100000011);

UPDATE purchase_order
SET total_amount = 9999999999.00,
    tax_amount = 9999999999.99,
    shipping_amount = 0,
    expected_delivery_date = '9999-12-31',
    notes = repeat('long ', 20000)
WHERE id = pg_temp.id('purchase_order', 10000001);

UPDATE purchase_order
SET total_amount = 0,
    tax_amount = NULL,
    shipping_amount = NULL
WHERE id = pg_temp.id('purchase_order', 10000002);

DELETE FROM purchase_order_item
WHERE purchase_order_id = pg_temp.id('purchase_order', 10000002);

UPDATE notification
SET expires_at = '9999-12-31 23:59:59+00'
WHERE id = pg_temp.id('notification', 10000002);

UPDATE widget_data_cache
SET expires_at = '9999-12-31 23:59:59+00'
WHERE id = (SELECT id FROM widget_data_cache ORDER BY id LIMIT 1);

UPDATE support_ticket
SET created_at = '1900-01-01 00:00+00',
    sla_due_at = '9999-12-31 23:59:59+00'
WHERE id = pg_temp.id('support_ticket', 10000001);


-----------------------
-- Planted blemishes --
-----------------------

-- What users without a profile made.
UPDATE dashboard
SET created_by = pg_temp.id('user', base + members + 1)
FROM tenant
WHERE dashboard.id = pg_temp.id('dashboard', base + 1)
  AND number <= 6;

UPDATE ai_conversation
SET user_id = pg_temp.id('user', base + members + 1)
FROM tenant
WHERE ai_conversation.id = pg_temp.id('ai_conversation', base + 1)
  AND number <= 6;

-- Notifications of tickets that do not exist.
UPDATE notification
SET metadata = jsonb_build_object('ticket_id', pg_temp.id('missing ticket', base))
FROM tenant
WHERE notification.id = pg_temp.id('notification', base + 1)
  AND number <= 8;

-- One address, two customers: the seventh has the sixth's, the ninth the eighth's in capitals; in the first
-- organisation the tenth has the sixth's as well.
UPDATE customer AS twin
SET email = CASE WHEN pair.in_capitals THEN upper(original.email) ELSE original.email END
FROM tenant
CROSS JOIN (VALUES (7, 6, false), (9, 8, true), (10, 6, false)) AS pair (twin, original, in_capitals)
CROSS JOIN customer AS original
WHERE original.id = pg_temp.id('customer', base + pair.original)
  AND twin.id = pg_temp.id('customer', base + pair.twin)
  AND (number <= 8 AND pair.twin <> 10 OR number = 1);

-- No blemish: a customer of two organisations.
UPDATE customer AS abroad
SET email = home.email
FROM customer AS home
WHERE home.id = pg_temp.id('customer', 10000012)
  AND abroad.id = pg_temp.id('customer', 20000012);


---------------------------------------
-- Statistics, and every foreign key --
---------------------------------------

DROP FUNCTION pg_temp.edge_or_moment(text, bigint);
DROP FUNCTION pg_temp.moment(text, bigint);
DROP FUNCTION pg_temp.one_of(text, bigint, bigint, text, bigint);
DROP FUNCTION pg_temp.person(text, bigint);
DROP FUNCTION pg_temp.company(text, bigint);
DROP FUNCTION pg_temp.sentence(text, bigint);
DROP FUNCTION pg_temp.pick(anyarray, text, bigint);
DROP FUNCTION pg_temp.chance(text, bigint, bigint);
DROP FUNCTION pg_temp.low(text, bigint, bigint);
DROP FUNCTION pg_temp.roll(text, bigint, bigint);
DROP FUNCTION pg_temp.id(text, bigint);

ANALYZE;

DO $$
DECLARE
    link     record;
    orphans  bigint;
BEGIN
    FOR link IN
        SELECT fk.conname AS name,
               fk.conrelid::regclass AS child,
               child_column.attname AS child_column,
               fk.confrelid::regclass AS parent
        FROM pg_constraint AS fk
        JOIN pg_attribute AS child_column ON child_column.attrelid = fk.conrelid AND child_column.attnum = fk.conkey[1]
        WHERE fk.contype = 'f'
          AND fk.connamespace = 'public'::regnamespace
          AND fk.conparentid = 0
    LOOP
        EXECUTE format(
            'SELECT count(*) FROM %s AS child'
            ' WHERE %I IS NOT NULL AND NOT EXISTS (SELECT FROM %s AS parent WHERE parent.id = child.%I)',
            link.child, link.child_column, link.parent, link.child_column
        )
        INTO orphans;
        ASSERT orphans = 0,
            format('%s: %s rows of %s without a parent in %s', link.name, orphans, link.child, link.parent);
    END LOOP;
END
$$;

-- How to find what was planted:
--
--     users without a profile, and what they own (6 users, 6 dashboards, 6 conversations)
--         SELECT FROM dashboard AS d       WHERE NOT EXISTS (SELECT FROM profile AS p WHERE p.id = d.created_by)
--         SELECT FROM ai_conversation AS c WHERE NOT EXISTS (SELECT FROM profile AS p WHERE p.id = c.user_id)
--     notifications of missing tickets (8)
--         SELECT FROM notification AS n
--         WHERE n.metadata ? 'ticket_id'
--           AND NOT EXISTS (SELECT FROM support_ticket AS t WHERE t.id = (n.metadata ->> 'ticket_id')::uuid)
--     duplicate addresses (16 groups, 33 customers)
--         SELECT org_id, lower(email), count(*) FROM customer WHERE email IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1
--       of which letter for letter (8 groups, 17 customers)
--         SELECT org_id, email, count(*) FROM customer WHERE email IS NOT NULL GROUP BY 1, 2 HAVING count(*) > 1
--     organisations without a currency (6)
--         SELECT FROM organization WHERE settings ->> 'currency' IS NULL
