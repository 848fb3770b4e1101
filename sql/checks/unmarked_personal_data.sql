-- check: unmarked_personal_data
-- title: Personal data that our migrations do not mark
-- severity: warn, fail from 5
-- phases: all
-- expected: a COMMENT on every column that looks like personal data: 'personal data: <class>: …', or 'not personal: <why>'
-- action: COMMENT ON COLUMN … IS 'personal data: <class>: …' with one of the classes identity, contact, location, credential, behaviour, free text; where the name misleads, 'not personal: …' says why
-- reads: catalogues, the migration files
-- What a name gives away. Listed here are words; a column is suspected whose name has one of them between underscores.
WITH ours AS (
    SELECT kind, name, part ->> 0 AS col
    FROM jsonb_to_recordset(current_setting('mantis_runbook.made')::jsonb) AS (kind text, name text, parts jsonb)
    LEFT JOIN jsonb_array_elements(parts) AS part ON kind = 'column'
    WHERE kind IN ('table', 'column')
),
word (class, words) AS (
    VALUES
        ('identity', 'name|firstname|lastname|surname|nickname|salutation|company|employer|gender|sex|nationality|passport|ssn|tax_id|national_id|iban|account_number|birth|birthday|birthdate|dob|born|age|death|avatar|avatar_url|photo|picture|signature|decided_by|fingerprint|username|login'),
        ('contact', 'email|emails|mail|e_mail|phone|phones|telephone|mobile|fax|cell|contact|website|skype|whatsapp'),
        ('location', 'address|addresses|street|city|town|zip|postcode|postal|country|region|location|place|geo|gps|coordinates|latitude|longitude|ip|ips|host|jurisdiction'),
        ('credential', 'password|passwd|secret|secrets|token|credential|credentials|key_hash|api_key|private_key|backup_codes|otp|pin'),
        ('behaviour', 'agent|browser|device|cookie|session|visits|audience|last_seen|activity|preferences'),
        ('free text', 'note|notes|comment|comments|content|remark|remarks|message|text|body|description|title|subject|summary|reason|outcome|feedback|answer|question|transcript|metadata|custom_fields|attributes|data|payload|response|log|settings|attachments|actions|next_step')
),
suspect AS (
    SELECT
        c.relname,
        a.attname,
        coalesce(btrim(col_description(c.oid, a.attnum)), '') AS comment,
        CASE
            WHEN t.typname IN ('inet', 'cidr', 'macaddr') THEN 'location'
            ELSE (SELECT class FROM word WHERE a.attname ~* format('(^|_)(%s)(_hash|_encrypted|$|_)', words) LIMIT 1)
        END AS class
    FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type AS declared ON declared.oid = a.atttypid
    JOIN pg_type AS t ON t.oid = CASE WHEN declared.typelem <> 0 AND declared.typcategory = 'A' THEN declared.typelem ELSE declared.oid END
    WHERE c.relnamespace = 'public'::regnamespace
      AND c.relkind IN ('r', 'p', 'f')
      AND NOT c.relispartition
      AND (t.typcategory = 'S' OR t.typname IN ('json', 'jsonb', 'xml', 'hstore', 'inet', 'cidr', 'macaddr', 'date', 'point'))
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
)
SELECT 1
