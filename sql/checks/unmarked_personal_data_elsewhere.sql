-- check: unmarked_personal_data_elsewhere
-- title: Personal data that the application's own tables do not mark
-- severity: warn
-- phases: all
-- expected: a COMMENT on every column that looks like personal data: 'personal data: <class>: …', or 'not personal: <why>'
-- action: ask who knows the data, and COMMENT ON COLUMN … IS 'personal data: <class>: …', with the class identity, contact, location, credential, behaviour or free text, or 'not personal: …'; a comment takes no lock that a reader or writer feels for long
-- reads: catalogues, the migration files
-- Tables of before, and of others. Ours must be marked: see unmarked_personal_data, of which this is all the rest. Columns
-- of the baseline without a comment are marked by 001; before it, and where a comment says something else, they are here.
WITH made AS (
    SELECT kind, name, part ->> 0 AS col
    FROM jsonb_to_recordset(current_setting('mantis_runbook.made')::jsonb) AS (kind text, name text, parts jsonb)
    LEFT JOIN jsonb_array_elements(parts) AS part ON kind = 'column'
    WHERE kind IN ('table', 'column')
),
look (class, pattern) AS (
    VALUES
        ('credential', '(^|_)(passw(or)?d|secrets?|token|credentials?|(api|private|key)_?(key|hash)|backup_codes|otp|pin)(_hash|_encrypted)?$'),
        ('contact', '(^|_)(e?_?mails?|phones?|telephone|mobile|fax|cell)(_|$)|^contact$'),
        ('location', '(^|_)(address(es)?|street|city|town|zip|post(al_?)?code|country|location|coordinates|latitude|longitude|ips?)(_|$)'),
        ('identity', '^(full_?|first_?|last_?|middle_?|given_?|family_?|maiden_?|nick_?|sur_?|user_?|display_?|contact_?|person_?|recipient_?|sender_?|owner_?|author_?|customer_?|client_?|supplier_?|employee_?)?name$'),
        ('identity', '(^|_)(company|employer|gender|sex|salutation|nationality|passport|ssn|(tax|vat|national|person)_?(id|number)|iban|account_number|signature)(_|$)'),
        ('identity', '(^|_)(birth|birthday|birthdate|dob|born|death|avatar|photo|picture|fingerprint)(_|$)'),
        ('behaviour', '(^|_)(user_agent|agent|browser|device|cookie|audience|preferences|interests)(_|$)'),
        ('free text', '(^|_)(notes?|comments?|content|remarks?|message|body|description|title|subject|summary|reason|outcome|feedback|transcript)(_|$)'),
        ('free text', '(^|_)(metadata|custom_fields|attributes|properties|settings|payload|response|results?|data|log|attachments|free_?text)$|^text$')
),
suspect AS (
    SELECT
        c.relname,
        a.attname,
        btrim(col_description(c.oid, a.attnum)) AS comment,
        CASE
            WHEN t.typname IN ('inet', 'cidr', 'macaddr') THEN 'location'
            WHEN t.typcategory = 'S' OR t.typname IN ('json', 'jsonb', 'xml', 'hstore', 'date')
                THEN (SELECT class FROM look WHERE a.attname ~* pattern LIMIT 1)
        END AS class
    FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    JOIN pg_type AS d ON d.oid = a.atttypid
    JOIN pg_type AS t ON t.oid = coalesce(nullif(d.typelem, 0), d.oid) AND d.typcategory IN ('A', t.typcategory)
    WHERE c.relnamespace = 'public'::regnamespace
      AND c.relkind IN ('r', 'p', 'f', 'm')
      AND NOT c.relispartition
      AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = c.oid AND deptype = 'e')
)
SELECT
    format('%I.%I', relname, attname) AS object,
    1::bigint AS found,
    CASE
        WHEN comment ~* '^personal data' THEN 'its comment names no class: identity, contact, location, credential, behaviour or free text'
        ELSE format('looks like %s, and its comment does not say whether it is', class)
    END AS detail
FROM suspect
WHERE (class IS NOT NULL OR comment ~* '^personal data')
  AND comment ~* '^(personal data: (identity|contact|location|credential|behaviour|free text)\M|not personal: \S)' IS NOT TRUE
  AND NOT EXISTS (SELECT FROM made WHERE made.name = relname AND (kind = 'table' OR col = attname))
ORDER BY relname, attname
