-- Unit tests of migration 001: the enums of the enhanced schema. Writes nothing.
-- step: currency_code is there, as the strategy tests it
DO $$
BEGIN
    ASSERT (SELECT count(*) FROM pg_type WHERE typname = 'currency_code') = 1,
        'currency_code enum should exist';

    ASSERT (
        SELECT count(*)
        FROM pg_enum
        WHERE enumlabel = 'USD'
          AND enumtypid = (SELECT oid FROM pg_type WHERE typname = 'currency_code')
    ) = 1,
        'USD should be a valid currency_code';
END
$$;

-- step: every enum takes its first and last label, and no other word
DO $$
DECLARE
    one    record;
    added  text[] := '{}';
BEGIN
    -- A currency that the operator added (a decision whose value is its own key) may follow the ten; any other may not.
    IF to_regclass('mantis_runbook.decision') IS NOT NULL THEN
        EXECUTE $query$
            SELECT coalesce(array_agg(key), '{}') FROM mantis_runbook.decision WHERE subject = 'currency' AND value = key
        $query$ INTO added;
    END IF;

    FOR one IN
        SELECT * FROM (VALUES
            ('access_level',       'private',     'restricted'),
            ('activity_type',      'call',        'follow_up'),
            ('api_scope',          'read',        'analytics'),
            ('currency_code',      'USD',         'BRL'),
            ('document_type',      'contract',    'other'),
            ('invoice_status',     'draft',       'refunded'),
            ('lead_status',        'new',         'nurturing'),
            ('opportunity_stage',  'prospecting', 'lost'),
            ('payment_method',     'credit_card', 'cash'),
            ('payment_status',     'pending',     'disputed'),
            ('qc_status',          'pending',     'rejected'),
            ('sales_order_status', 'draft',       'returned'),
            ('tax_type',           'vat',         'property_tax'),
            ('template_type',      'email',       'fax')
        ) AS enums (name, first, last)
    LOOP
        ASSERT (
            SELECT array_agg(enumlabel::text ORDER BY enumsortorder) FILTER (WHERE position IN (1, of_all))
            FROM (
                SELECT enumlabel, enumsortorder, row_number() OVER (ORDER BY enumsortorder) AS position, count(*) OVER () AS of_all
                FROM pg_enum
                WHERE enumtypid = to_regtype(one.name)
                  AND NOT (one.name = 'currency_code' AND enumlabel = ANY (added) AND enumlabel NOT IN (one.first, one.last))
            ) AS label
        ) = ARRAY[one.first, one.last],
            format('%s should go from %s to %s', one.name, one.first, one.last);

        BEGIN
            EXECUTE format('SELECT %L::%I', 'no such label', one.name);
            RAISE EXCEPTION USING ERRCODE = 'assert_failure', MESSAGE = format('%s should refuse a word that is no label', one.name);
        EXCEPTION
            WHEN invalid_text_representation THEN NULL;
        END;
    END LOOP;
END
$$;
