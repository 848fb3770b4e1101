-- Migration 002: CRM and sales modules, validated
-- phase: 2
-- requires: 001
--
-- What it is: compares the catalogues with what 002 makes, looks for rows that the triggers should have kept right, and
-- walks once from a lead to an order, in subtransactions that are always rolled back. Later migrations may add to what is
-- here; nothing may be missing or different. Each step fails with the names of what is wrong.
--
-- What it locks: ACCESS SHARE; the walk holds the number row of one organisation for some milliseconds, and nobody ever
-- sees its rows.

-- step: columns are there
DO $$
DECLARE
    wrong  text;
BEGIN
    PERFORM set_config('search_path', 'public, pg_temp', true);
    WITH wanted (name, col, type, is_required, by_default) AS (
        VALUES
            ('document_number',      'org_id',                   'uuid',                     true,  ''),
            ('document_number',      'kind',                     'text',                     true,  ''),
            ('document_number',      'year',                     'integer',                  true,  ''),
            ('document_number',      'last_number',              'bigint',                   true,  ''),
            ('customer_contact',     'id',                       'uuid',                     true,  'gen_random_uuid()'),
            ('customer_contact',     'customer_id',              'uuid',                     true,  ''),
            ('customer_contact',     'first_name',               'text',                     true,  ''),
            ('customer_contact',     'last_name',                'text',                     true,  ''),
            ('customer_contact',     'title',                    'text',                     false, ''),
            ('customer_contact',     'email',                    'text',                     false, ''),
            ('customer_contact',     'phone',                    'text',                     false, ''),
            ('customer_contact',     'mobile',                   'text',                     false, ''),
            ('customer_contact',     'is_primary',               'boolean',                  false, 'false'),
            ('customer_contact',     'is_active',                'boolean',                  false, 'true'),
            ('customer_contact',     'created_at',               'timestamp with time zone', false, 'now()'),
            ('customer_contact',     'updated_at',               'timestamp with time zone', false, 'now()'),
            ('lead',                 'id',                       'uuid',                     true,  'gen_random_uuid()'),
            ('lead',                 'org_id',                   'uuid',                     true,  ''),
            ('lead',                 'first_name',               'text',                     true,  ''),
            ('lead',                 'last_name',                'text',                     true,  ''),
            ('lead',                 'company',                  'text',                     false, ''),
            ('lead',                 'title',                    'text',                     false, ''),
            ('lead',                 'email',                    'text',                     false, ''),
            ('lead',                 'phone',                    'text',                     false, ''),
            ('lead',                 'status',                   'lead_status',              false, '''new''::lead_status'),
            ('lead',                 'source',                   'text',                     false, ''),
            ('lead',                 'score',                    'integer',                  false, '0'),
            ('lead',                 'assigned_to',              'uuid',                     false, ''),
            ('lead',                 'converted_to_customer_id', 'uuid',                     false, ''),
            ('lead',                 'converted_at',             'timestamp with time zone', false, ''),
            ('lead',                 'estimated_value',          'numeric(12,2)',            false, ''),
            ('lead',                 'expected_close_date',      'date',                     false, ''),
            ('lead',                 'notes',                    'text',                     false, ''),
            ('lead',                 'tags',                     'text[]',                   false, '''{}''::text[]'),
            ('lead',                 'custom_fields',            'jsonb',                    false, '''{}''::jsonb'),
            ('lead',                 'created_at',               'timestamp with time zone', false, 'now()'),
            ('lead',                 'updated_at',               'timestamp with time zone', false, 'now()'),
            ('opportunity',          'id',                       'uuid',                     true,  'gen_random_uuid()'),
            ('opportunity',          'org_id',                   'uuid',                     true,  ''),
            ('opportunity',          'customer_id',              'uuid',                     false, ''),
            ('opportunity',          'lead_id',                  'uuid',                     false, ''),
            ('opportunity',          'name',                     'text',                     true,  ''),
            ('opportunity',          'description',              'text',                     false, ''),
            ('opportunity',          'stage',                    'opportunity_stage',        false, '''prospecting''::opportunity_stage'),
            ('opportunity',          'amount',                   'numeric(12,2)',            true,  ''),
            ('opportunity',          'currency',                 'currency_code',            false, ''),
            ('opportunity',          'probability',              'integer',                  false, '0'),
            ('opportunity',          'assigned_to',              'uuid',                     false, ''),
            ('opportunity',          'expected_close_date',      'date',                     false, ''),
            ('opportunity',          'actual_close_date',        'date',                     false, ''),
            ('opportunity',          'is_won',                   'boolean',                  false, ''),
            ('opportunity',          'close_reason',             'text',                     false, ''),
            ('opportunity',          'competitors',              'text[]',                   false, '''{}''::text[]'),
            ('opportunity',          'next_step',                'text',                     false, ''),
            ('opportunity',          'created_at',               'timestamp with time zone', false, 'now()'),
            ('opportunity',          'updated_at',               'timestamp with time zone', false, 'now()'),
            ('crm_activity',         'id',                       'uuid',                     true,  'gen_random_uuid()'),
            ('crm_activity',         'org_id',                   'uuid',                     true,  ''),
            ('crm_activity',         'type',                     'activity_type',            true,  ''),
            ('crm_activity',         'subject',                  'text',                     true,  ''),
            ('crm_activity',         'description',              'text',                     false, ''),
            ('crm_activity',         'customer_id',              'uuid',                     false, ''),
            ('crm_activity',         'lead_id',                  'uuid',                     false, ''),
            ('crm_activity',         'opportunity_id',           'uuid',                     false, ''),
            ('crm_activity',         'assigned_to',              'uuid',                     false, ''),
            ('crm_activity',         'created_by',               'uuid',                     true,  ''),
            ('crm_activity',         'due_date',                 'timestamp with time zone', false, ''),
            ('crm_activity',         'completed_at',             'timestamp with time zone', false, ''),
            ('crm_activity',         'is_completed',             'boolean',                  false, 'false'),
            ('crm_activity',         'duration_minutes',         'integer',                  false, ''),
            ('crm_activity',         'outcome',                  'text',                     false, ''),
            ('crm_activity',         'follow_up_required',       'boolean',                  false, 'false'),
            ('crm_activity',         'follow_up_date',           'timestamp with time zone', false, ''),
            ('crm_activity',         'priority',                 'integer',                  false, '3'),
            ('crm_activity',         'created_at',               'timestamp with time zone', false, 'now()'),
            ('crm_activity',         'updated_at',               'timestamp with time zone', false, 'now()'),
            ('product',              'id',                       'uuid',                     true,  'gen_random_uuid()'),
            ('product',              'org_id',                   'uuid',                     true,  ''),
            ('product',              'inventory_item_id',        'uuid',                     false, ''),
            ('product',              'name',                     'text',                     true,  ''),
            ('product',              'description',              'text',                     false, ''),
            ('product',              'sku',                      'text',                     true,  ''),
            ('product',              'category',                 'text',                     false, ''),
            ('product',              'brand',                    'text',                     false, ''),
            ('product',              'model',                    'text',                     false, ''),
            ('product',              'base_price',               'numeric(10,2)',            true,  ''),
            ('product',              'cost_price',               'numeric(10,2)',            false, ''),
            ('product',              'weight_kg',                'numeric(8,3)',             false, ''),
            ('product',              'dimensions_cm',            'text',                     false, ''),
            ('product',              'is_active',                'boolean',                  false, 'true'),
            ('product',              'is_service',               'boolean',                  false, 'false'),
            ('product',              'tax_category',             'text',                     false, ''),
            ('product',              'warranty_months',          'integer',                  false, ''),
            ('product',              'minimum_quantity',         'integer',                  false, '1'),
            ('product',              'maximum_quantity',         'integer',                  false, ''),
            ('product',              'tags',                     'text[]',                   false, '''{}''::text[]'),
            ('product',              'images',                   'text[]',                   false, '''{}''::text[]'),
            ('product',              'custom_fields',            'jsonb',                    false, '''{}''::jsonb'),
            ('product',              'created_at',               'timestamp with time zone', false, 'now()'),
            ('product',              'updated_at',               'timestamp with time zone', false, 'now()'),
            ('price_list',           'id',                       'uuid',                     true,  'gen_random_uuid()'),
            ('price_list',           'org_id',                   'uuid',                     true,  ''),
            ('price_list',           'name',                     'text',                     true,  ''),
            ('price_list',           'description',              'text',                     false, ''),
            ('price_list',           'currency',                 'currency_code',            false, ''),
            ('price_list',           'is_default',               'boolean',                  false, 'false'),
            ('price_list',           'valid_from',               'date',                     true,  'CURRENT_DATE'),
            ('price_list',           'valid_to',                 'date',                     false, ''),
            ('price_list',           'customer_segments',        'customer_segment[]',       false, '''{}''::customer_segment[]'),
            ('price_list',           'minimum_order_amount',     'numeric(12,2)',            false, '0'),
            ('price_list',           'is_active',                'boolean',                  false, 'true'),
            ('price_list',           'created_at',               'timestamp with time zone', false, 'now()'),
            ('price_list',           'updated_at',               'timestamp with time zone', false, 'now()'),
            ('product_price',        'id',                       'uuid',                     true,  'gen_random_uuid()'),
            ('product_price',        'product_id',               'uuid',                     true,  ''),
            ('product_price',        'price_list_id',            'uuid',                     true,  ''),
            ('product_price',        'unit_price',               'numeric(10,2)',            true,  ''),
            ('product_price',        'discount_percentage',      'numeric(5,2)',             false, '0'),
            ('product_price',        'minimum_quantity',         'integer',                  false, '1'),
            ('product_price',        'created_at',               'timestamp with time zone', false, 'now()'),
            ('product_price',        'updated_at',               'timestamp with time zone', false, 'now()'),
            ('sales_quote',          'id',                       'uuid',                     true,  'gen_random_uuid()'),
            ('sales_quote',          'org_id',                   'uuid',                     true,  ''),
            ('sales_quote',          'customer_id',              'uuid',                     true,  ''),
            ('sales_quote',          'opportunity_id',           'uuid',                     false, ''),
            ('sales_quote',          'quote_number',             'text',                     true,  ''),
            ('sales_quote',          'title',                    'text',                     true,  ''),
            ('sales_quote',          'description',              'text',                     false, ''),
            ('sales_quote',          'status',                   'sales_order_status',       false, '''draft''::sales_order_status'),
            ('sales_quote',          'currency',                 'currency_code',            false, ''),
            ('sales_quote',          'subtotal',                 'numeric(12,2)',            false, '0'),
            ('sales_quote',          'tax_amount',               'numeric(12,2)',            false, '0'),
            ('sales_quote',          'shipping_amount',          'numeric(12,2)',            false, '0'),
            ('sales_quote',          'discount_amount',          'numeric(12,2)',            false, '0'),
            ('sales_quote',          'total_amount',             'numeric(12,2)',            false, '0'),
            ('sales_quote',          'valid_until',              'date',                     false, ''),
            ('sales_quote',          'terms_and_conditions',     'text',                     false, ''),
            ('sales_quote',          'internal_notes',           'text',                     false, ''),
            ('sales_quote',          'created_by',               'uuid',                     true,  ''),
            ('sales_quote',          'approved_by',              'uuid',                     false, ''),
            ('sales_quote',          'approved_at',              'timestamp with time zone', false, ''),
            ('sales_quote',          'converted_to_order_id',    'uuid',                     false, ''),
            ('sales_quote',          'created_at',               'timestamp with time zone', false, 'now()'),
            ('sales_quote',          'updated_at',               'timestamp with time zone', false, 'now()'),
            ('sales_quote_item',     'id',                       'uuid',                     true,  'gen_random_uuid()'),
            ('sales_quote_item',     'quote_id',                 'uuid',                     true,  ''),
            ('sales_quote_item',     'product_id',               'uuid',                     true,  ''),
            ('sales_quote_item',     'description',              'text',                     false, ''),
            ('sales_quote_item',     'quantity',                 'numeric(10,3)',            true,  ''),
            ('sales_quote_item',     'unit_price',               'numeric(10,2)',            true,  ''),
            ('sales_quote_item',     'discount_percentage',      'numeric(5,2)',             false, '0'),
            ('sales_quote_item',     'line_total',               'numeric(12,2)',            false, ''),
            ('sales_quote_item',     'tax_rate',                 'numeric(5,2)',             false, '0'),
            ('sales_quote_item',     'notes',                    'text',                     false, ''),
            ('sales_quote_item',     'created_at',               'timestamp with time zone', false, 'now()'),
            ('sales_order',          'id',                       'uuid',                     true,  'gen_random_uuid()'),
            ('sales_order',          'org_id',                   'uuid',                     true,  ''),
            ('sales_order',          'customer_id',              'uuid',                     true,  ''),
            ('sales_order',          'quote_id',                 'uuid',                     false, ''),
            ('sales_order',          'order_number',             'text',                     true,  ''),
            ('sales_order',          'status',                   'sales_order_status',       false, '''draft''::sales_order_status'),
            ('sales_order',          'currency',                 'currency_code',            false, ''),
            ('sales_order',          'subtotal',                 'numeric(12,2)',            false, '0'),
            ('sales_order',          'tax_amount',               'numeric(12,2)',            false, '0'),
            ('sales_order',          'shipping_amount',          'numeric(12,2)',            false, '0'),
            ('sales_order',          'discount_amount',          'numeric(12,2)',            false, '0'),
            ('sales_order',          'total_amount',             'numeric(12,2)',            false, '0'),
            ('sales_order',          'order_date',               'date',                     false, 'CURRENT_DATE'),
            ('sales_order',          'requested_delivery_date',  'date',                     false, ''),
            ('sales_order',          'promised_delivery_date',   'date',                     false, ''),
            ('sales_order',          'actual_delivery_date',     'date',                     false, ''),
            ('sales_order',          'shipping_address',         'jsonb',                    false, ''),
            ('sales_order',          'billing_address',          'jsonb',                    false, ''),
            ('sales_order',          'payment_terms',            'text',                     false, ''),
            ('sales_order',          'created_by',               'uuid',                     true,  ''),
            ('sales_order',          'approved_by',              'uuid',                     false, ''),
            ('sales_order',          'approved_at',              'timestamp with time zone', false, ''),
            ('sales_order',          'created_at',               'timestamp with time zone', false, 'now()'),
            ('sales_order',          'updated_at',               'timestamp with time zone', false, 'now()'),
            ('sales_order_item',     'id',                       'uuid',                     true,  'gen_random_uuid()'),
            ('sales_order_item',     'order_id',                 'uuid',                     true,  ''),
            ('sales_order_item',     'product_id',               'uuid',                     true,  ''),
            ('sales_order_item',     'description',              'text',                     false, ''),
            ('sales_order_item',     'quantity',                 'numeric(10,3)',            true,  ''),
            ('sales_order_item',     'unit_price',               'numeric(10,2)',            true,  ''),
            ('sales_order_item',     'discount_percentage',      'numeric(5,2)',             false, '0'),
            ('sales_order_item',     'line_total',               'numeric(12,2)',            false, ''),
            ('sales_order_item',     'tax_rate',                 'numeric(5,2)',             false, '0'),
            ('sales_order_item',     'quantity_shipped',         'numeric(10,3)',            false, '0'),
            ('sales_order_item',     'quantity_invoiced',        'numeric(10,3)',            false, '0'),
            ('sales_order_item',     'notes',                    'text',                     false, ''),
            ('sales_order_item',     'created_at',               'timestamp with time zone', false, 'now()'),
            ('sales_order_item',     'updated_at',               'timestamp with time zone', false, 'now()'),
            ('supplier_performance', 'id',                       'uuid',                     true,  'gen_random_uuid()'),
            ('supplier_performance', 'supplier_id',              'uuid',                     true,  ''),
            ('supplier_performance', 'evaluation_period_start',  'date',                     true,  ''),
            ('supplier_performance', 'evaluation_period_end',    'date',                     true,  ''),
            ('supplier_performance', 'quality_score',            'integer',                  false, ''),
            ('supplier_performance', 'delivery_score',           'integer',                  false, ''),
            ('supplier_performance', 'cost_score',               'integer',                  false, ''),
            ('supplier_performance', 'overall_score',            'integer',                  false, ''),
            ('supplier_performance', 'orders_count',             'integer',                  false, '0'),
            ('supplier_performance', 'on_time_deliveries',       'integer',                  false, '0'),
            ('supplier_performance', 'quality_issues',           'integer',                  false, '0'),
            ('supplier_performance', 'total_spend',              'numeric(15,2)',            false, '0'),
            ('supplier_performance', 'evaluator_id',             'uuid',                     false, ''),
            ('supplier_performance', 'notes',                    'text',                     false, ''),
            ('supplier_performance', 'created_at',               'timestamp with time zone', false, 'now()'),
            ('quality_control',      'id',                       'uuid',                     true,  'gen_random_uuid()'),
            ('quality_control',      'org_id',                   'uuid',                     true,  ''),
            ('quality_control',      'purchase_order_id',        'uuid',                     false, ''),
            ('quality_control',      'inventory_item_id',        'uuid',                     true,  ''),
            ('quality_control',      'batch_number',             'text',                     false, ''),
            ('quality_control',      'serial_number',            'text',                     false, ''),
            ('quality_control',      'inspection_date',          'date',                     false, 'CURRENT_DATE'),
            ('quality_control',      'inspector_id',             'uuid',                     true,  ''),
            ('quality_control',      'status',                   'qc_status',                false, '''pending''::qc_status'),
            ('quality_control',      'test_results',             'jsonb',                    false, '''{}''::jsonb'),
            ('quality_control',      'defects_found',            'text[]',                   false, '''{}''::text[]'),
            ('quality_control',      'corrective_actions',       'text[]',                   false, '''{}''::text[]'),
            ('quality_control',      'approved_quantity',        'integer',                  false, '0'),
            ('quality_control',      'rejected_quantity',        'integer',                  false, '0'),
            ('quality_control',      'rework_quantity',          'integer',                  false, '0'),
            ('quality_control',      'notes',                    'text',                     false, ''),
            ('quality_control',      'created_at',               'timestamp with time zone', false, 'now()'),
            ('quality_control',      'updated_at',               'timestamp with time zone', false, 'now()')
    ),
    found AS (
        SELECT
            attrelid::regclass::text, attname::text, format_type(atttypid, atttypmod), attnotnull,
            coalesce(pg_get_expr(adbin, adrelid), '')
        FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid
        LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped
    )
    SELECT string_agg(format('%s.%s', name, col), ', ' ORDER BY name, col)
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('columns missing or different: %s', wrong);
END
$$;

-- step: constraints are there, say what they should, and are validated
DO $$
DECLARE
    wrong  text;
BEGIN
    PERFORM set_config('search_path', 'public, pg_temp', true);
    WITH wanted (name, constraint_name, definition) AS (
        VALUES
            ('document_number',      'document_number_kind_is_a_lower_case_word',           'CHECK ((kind ~ ''^[a-z][a-z_]{0,49}$''::text))'),
            ('document_number',      'document_number_pkey',                                'PRIMARY KEY (org_id, kind, year)'),
            ('document_number',      'document_number_positive',                            'CHECK ((last_number > 0))'),
            ('document_number',      'document_number_year_has_four_digits',                'CHECK (((year >= 1000) AND (year <= 9999)))'),
            ('document_number',      'document_number_org_id_fkey',                         'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('customer_contact',     'contact_email_format',                                'CHECK (((email IS NULL) OR (email ~ ''^[^@\s]+@[^@\s]+\.[^@\s]+$''::text)))'),
            ('customer_contact',     'contact_name_length',                                 'CHECK (((char_length(first_name) >= 1) AND (char_length(first_name) <= 100) AND (char_length(last_name) >= 1) AND (char_length(last_name) <= 100)))'),
            ('customer_contact',     'customer_contact_pkey',                               'PRIMARY KEY (id)'),
            ('customer_contact',     'customer_contact_customer_id_fkey',                   'FOREIGN KEY (customer_id) REFERENCES customer(id) ON DELETE CASCADE'),
            ('lead',                 'lead_company_length',                                 'CHECK (((char_length(company) >= 1) AND (char_length(company) <= 200)))'),
            ('lead',                 'lead_conversion_has_a_time',                          'CHECK (((converted_to_customer_id IS NULL) OR (converted_at IS NOT NULL)))'),
            ('lead',                 'lead_email_format',                                   'CHECK ((email ~ ''^[^@\s]+@[^@\s]+\.[^@\s]+$''::text))'),
            ('lead',                 'lead_estimated_value_not_negative',                   'CHECK ((estimated_value >= (0)::numeric))'),
            ('lead',                 'lead_name_length',                                    'CHECK ((((char_length(first_name) >= 1) AND (char_length(first_name) <= 100)) AND ((char_length(last_name) >= 1) AND (char_length(last_name) <= 100))))'),
            ('lead',                 'lead_pkey',                                           'PRIMARY KEY (id)'),
            ('lead',                 'lead_score_is_a_percentage',                          'CHECK (((score >= 0) AND (score <= 100)))'),
            ('lead',                 'lead_assigned_to_fkey',                               'FOREIGN KEY (assigned_to) REFERENCES profile(id) ON DELETE SET NULL'),
            ('lead',                 'lead_converted_to_customer_id_fkey',                  'FOREIGN KEY (converted_to_customer_id) REFERENCES customer(id) ON DELETE SET NULL'),
            ('lead',                 'lead_org_id_fkey',                                    'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('opportunity',          'opportunity_amount_not_negative',                     'CHECK ((amount >= (0)::numeric))'),
            ('opportunity',          'opportunity_name_length',                             'CHECK (((char_length(name) >= 1) AND (char_length(name) <= 200)))'),
            ('opportunity',          'opportunity_pkey',                                    'PRIMARY KEY (id)'),
            ('opportunity',          'opportunity_probability_is_a_percentage',             'CHECK (((probability >= 0) AND (probability <= 100)))'),
            ('opportunity',          'opportunity_won_is_in_stage_won',                     'CHECK (((is_won IS NOT TRUE) OR (stage = ''won''::opportunity_stage)))'),
            ('opportunity',          'opportunity_assigned_to_fkey',                        'FOREIGN KEY (assigned_to) REFERENCES profile(id) ON DELETE SET NULL'),
            ('opportunity',          'opportunity_customer_id_fkey',                        'FOREIGN KEY (customer_id) REFERENCES customer(id) ON DELETE SET NULL'),
            ('opportunity',          'opportunity_lead_id_fkey',                            'FOREIGN KEY (lead_id) REFERENCES lead(id) ON DELETE SET NULL'),
            ('opportunity',          'opportunity_org_id_fkey',                             'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('crm_activity',         'crm_activity_duration_positive',                      'CHECK ((duration_minutes > 0))'),
            ('crm_activity',         'crm_activity_pkey',                                   'PRIMARY KEY (id)'),
            ('crm_activity',         'crm_activity_priority_between_1_and_5',               'CHECK (((priority >= 1) AND (priority <= 5)))'),
            ('crm_activity',         'crm_activity_subject_length',                         'CHECK (((char_length(subject) >= 1) AND (char_length(subject) <= 500)))'),
            ('crm_activity',         'crm_activity_assigned_to_fkey',                       'FOREIGN KEY (assigned_to) REFERENCES profile(id) ON DELETE SET NULL'),
            ('crm_activity',         'crm_activity_created_by_fkey',                        'FOREIGN KEY (created_by) REFERENCES profile(id)'),
            ('crm_activity',         'crm_activity_customer_id_fkey',                       'FOREIGN KEY (customer_id) REFERENCES customer(id) ON DELETE CASCADE'),
            ('crm_activity',         'crm_activity_lead_id_fkey',                           'FOREIGN KEY (lead_id) REFERENCES lead(id) ON DELETE CASCADE'),
            ('crm_activity',         'crm_activity_opportunity_id_fkey',                    'FOREIGN KEY (opportunity_id) REFERENCES opportunity(id) ON DELETE SET NULL'),
            ('crm_activity',         'crm_activity_org_id_fkey',                            'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('product',              'product_base_price_not_negative',                     'CHECK ((base_price >= (0)::numeric))'),
            ('product',              'product_cost_price_not_negative',                     'CHECK ((cost_price >= (0)::numeric))'),
            ('product',              'product_maximum_quantity_not_below_minimum',          'CHECK (((maximum_quantity > 0) AND (maximum_quantity >= minimum_quantity)))'),
            ('product',              'product_minimum_quantity_positive',                   'CHECK ((minimum_quantity > 0))'),
            ('product',              'product_name_length',                                 'CHECK (((char_length(name) >= 1) AND (char_length(name) <= 200)))'),
            ('product',              'product_pkey',                                        'PRIMARY KEY (id)'),
            ('product',              'product_sku_is_unique_in_organization',               'UNIQUE (org_id, sku)'),
            ('product',              'product_sku_length',                                  'CHECK (((char_length(sku) >= 1) AND (char_length(sku) <= 100)))'),
            ('product',              'product_warranty_not_negative',                       'CHECK ((warranty_months >= 0))'),
            ('product',              'product_weight_not_negative',                         'CHECK ((weight_kg >= (0)::numeric))'),
            ('product',              'product_inventory_item_id_fkey',                      'FOREIGN KEY (inventory_item_id) REFERENCES inventory_item(id) ON DELETE SET NULL'),
            ('product',              'product_org_id_fkey',                                 'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('price_list',           'price_list_ends_after_it_begins',                     'CHECK ((valid_to >= valid_from))'),
            ('price_list',           'price_list_minimum_order_amount_not_negative',        'CHECK ((minimum_order_amount >= (0)::numeric))'),
            ('price_list',           'price_list_name_length',                              'CHECK (((char_length(name) >= 1) AND (char_length(name) <= 200)))'),
            ('price_list',           'price_list_pkey',                                     'PRIMARY KEY (id)'),
            ('price_list',           'price_list_org_id_fkey',                              'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('product_price',        'product_price_discount_is_a_percentage',              'CHECK (((discount_percentage >= (0)::numeric) AND (discount_percentage <= (100)::numeric)))'),
            ('product_price',        'product_price_minimum_quantity_positive',             'CHECK ((minimum_quantity > 0))'),
            ('product_price',        'product_price_pkey',                                  'PRIMARY KEY (id)'),
            ('product_price',        'product_price_unit_price_not_negative',               'CHECK ((unit_price >= (0)::numeric))'),
            ('product_price',        'product_price_price_list_id_fkey',                    'FOREIGN KEY (price_list_id) REFERENCES price_list(id) ON DELETE CASCADE'),
            ('product_price',        'product_price_product_id_fkey',                       'FOREIGN KEY (product_id) REFERENCES product(id) ON DELETE CASCADE'),
            ('sales_quote',          'sales_quote_amounts_not_negative',                    'CHECK (((subtotal >= (0)::numeric) AND (tax_amount >= (0)::numeric) AND (shipping_amount >= (0)::numeric) AND (discount_amount >= (0)::numeric)))'),
            ('sales_quote',          'sales_quote_approval_has_person_and_time',            'CHECK (((approved_by IS NULL) = (approved_at IS NULL)))'),
            ('sales_quote',          'sales_quote_number_is_unique_in_organization',        'UNIQUE (org_id, quote_number)'),
            ('sales_quote',          'sales_quote_number_length',                           'CHECK (((char_length(quote_number) >= 1) AND (char_length(quote_number) <= 50)))'),
            ('sales_quote',          'sales_quote_pkey',                                    'PRIMARY KEY (id)'),
            ('sales_quote',          'sales_quote_title_length',                            'CHECK (((char_length(title) >= 1) AND (char_length(title) <= 200)))'),
            ('sales_quote',          'sales_quote_total_adds_up',                           'CHECK (((total_amount = (((subtotal + tax_amount) + shipping_amount) - discount_amount)) IS TRUE))'),
            ('sales_quote',          'sales_quote_total_not_negative',                      'CHECK (((total_amount >= (0)::numeric) OR (subtotal = (0)::numeric) OR (COALESCE(status, ''draft''::sales_order_status) = ''draft''::sales_order_status)))'),
            ('sales_quote',          'sales_quote_approved_by_fkey',                        'FOREIGN KEY (approved_by) REFERENCES profile(id)'),
            ('sales_quote',          'sales_quote_created_by_fkey',                         'FOREIGN KEY (created_by) REFERENCES profile(id)'),
            ('sales_quote',          'sales_quote_customer_id_fkey',                        'FOREIGN KEY (customer_id) REFERENCES customer(id)'),
            ('sales_quote',          'sales_quote_opportunity_id_fkey',                     'FOREIGN KEY (opportunity_id) REFERENCES opportunity(id) ON DELETE SET NULL'),
            ('sales_quote',          'sales_quote_org_id_fkey',                             'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('sales_quote_item',     'sales_quote_item_discount_is_a_percentage',           'CHECK (((discount_percentage >= (0)::numeric) AND (discount_percentage <= (100)::numeric)))'),
            ('sales_quote_item',     'sales_quote_item_line_total_is_quantity_times_price', 'CHECK ((((line_total = round((((quantity * unit_price) * ((100)::numeric - COALESCE(discount_percentage, (0)::numeric))) * 0.01), 2)) OR (line_total = round((((quantity * unit_price) * ((100)::numeric - COALESCE(discount_percentage, (0)::numeric))) * 0.01), 0))) IS TRUE))'),
            ('sales_quote_item',     'sales_quote_item_pkey',                               'PRIMARY KEY (id)'),
            ('sales_quote_item',     'sales_quote_item_quantity_positive',                  'CHECK ((quantity > (0)::numeric))'),
            ('sales_quote_item',     'sales_quote_item_tax_rate_is_a_percentage',           'CHECK (((tax_rate >= (0)::numeric) AND (tax_rate <= (100)::numeric)))'),
            ('sales_quote_item',     'sales_quote_item_unit_price_not_negative',            'CHECK ((unit_price >= (0)::numeric))'),
            ('sales_quote_item',     'sales_quote_item_product_id_fkey',                    'FOREIGN KEY (product_id) REFERENCES product(id) DEFERRABLE INITIALLY DEFERRED'),
            ('sales_quote_item',     'sales_quote_item_quote_id_fkey',                      'FOREIGN KEY (quote_id) REFERENCES sales_quote(id) ON DELETE CASCADE'),
            ('sales_order',          'sales_order_amounts_not_negative',                    'CHECK (((subtotal >= (0)::numeric) AND (tax_amount >= (0)::numeric) AND (shipping_amount >= (0)::numeric) AND (discount_amount >= (0)::numeric)))'),
            ('sales_order',          'sales_order_approval_has_person_and_time',            'CHECK (((approved_by IS NULL) = (approved_at IS NULL)))'),
            ('sales_order',          'sales_order_delivered_after_ordered',                 'CHECK ((actual_delivery_date >= order_date))'),
            ('sales_order',          'sales_order_number_is_unique_in_organization',        'UNIQUE (org_id, order_number)'),
            ('sales_order',          'sales_order_number_length',                           'CHECK (((char_length(order_number) >= 1) AND (char_length(order_number) <= 50)))'),
            ('sales_order',          'sales_order_one_per_quote',                           'UNIQUE (quote_id)'),
            ('sales_order',          'sales_order_pkey',                                    'PRIMARY KEY (id)'),
            ('sales_order',          'sales_order_promised_after_ordered',                  'CHECK ((promised_delivery_date >= order_date))'),
            ('sales_order',          'sales_order_requested_after_ordered',                 'CHECK ((requested_delivery_date >= order_date))'),
            ('sales_order',          'sales_order_total_adds_up',                           'CHECK (((total_amount = (((subtotal + tax_amount) + shipping_amount) - discount_amount)) IS TRUE))'),
            ('sales_order',          'sales_order_total_not_negative',                      'CHECK (((total_amount >= (0)::numeric) OR (subtotal = (0)::numeric) OR (COALESCE(status, ''draft''::sales_order_status) = ''draft''::sales_order_status)))'),
            ('sales_order',          'sales_order_approved_by_fkey',                        'FOREIGN KEY (approved_by) REFERENCES profile(id)'),
            ('sales_order',          'sales_order_created_by_fkey',                         'FOREIGN KEY (created_by) REFERENCES profile(id)'),
            ('sales_order',          'sales_order_customer_id_fkey',                        'FOREIGN KEY (customer_id) REFERENCES customer(id)'),
            ('sales_order',          'sales_order_org_id_fkey',                             'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('sales_order',          'sales_order_quote_id_fkey',                           'FOREIGN KEY (quote_id) REFERENCES sales_quote(id)'),
            ('sales_order_item',     'sales_order_item_discount_is_a_percentage',           'CHECK (((discount_percentage >= (0)::numeric) AND (discount_percentage <= (100)::numeric)))'),
            ('sales_order_item',     'sales_order_item_invoiced_was_ordered',               'CHECK (((quantity_invoiced >= (0)::numeric) AND (quantity_invoiced <= quantity)))'),
            ('sales_order_item',     'sales_order_item_line_total_is_quantity_times_price', 'CHECK ((((line_total = round((((quantity * unit_price) * ((100)::numeric - COALESCE(discount_percentage, (0)::numeric))) * 0.01), 2)) OR (line_total = round((((quantity * unit_price) * ((100)::numeric - COALESCE(discount_percentage, (0)::numeric))) * 0.01), 0))) IS TRUE))'),
            ('sales_order_item',     'sales_order_item_pkey',                               'PRIMARY KEY (id)'),
            ('sales_order_item',     'sales_order_item_quantity_positive',                  'CHECK ((quantity > (0)::numeric))'),
            ('sales_order_item',     'sales_order_item_shipped_was_ordered',                'CHECK (((quantity_shipped >= (0)::numeric) AND (quantity_shipped <= quantity)))'),
            ('sales_order_item',     'sales_order_item_tax_rate_is_a_percentage',           'CHECK (((tax_rate >= (0)::numeric) AND (tax_rate <= (100)::numeric)))'),
            ('sales_order_item',     'sales_order_item_unit_price_not_negative',            'CHECK ((unit_price >= (0)::numeric))'),
            ('sales_order_item',     'sales_order_item_order_id_fkey',                      'FOREIGN KEY (order_id) REFERENCES sales_order(id) ON DELETE CASCADE'),
            ('sales_order_item',     'sales_order_item_product_id_fkey',                    'FOREIGN KEY (product_id) REFERENCES product(id) DEFERRABLE INITIALLY DEFERRED'),
            ('supplier_performance', 'supplier_performance_counts_not_negative',            'CHECK (((orders_count >= 0) AND (on_time_deliveries >= 0) AND (quality_issues >= 0)))'),
            ('supplier_performance', 'supplier_performance_on_time_were_ordered',           'CHECK ((on_time_deliveries <= orders_count))'),
            ('supplier_performance', 'supplier_performance_period_ends_after_it_begins',    'CHECK ((evaluation_period_end >= evaluation_period_start))'),
            ('supplier_performance', 'supplier_performance_pkey',                           'PRIMARY KEY (id)'),
            ('supplier_performance', 'supplier_performance_scores_are_percentages',         'CHECK ((((quality_score >= 0) AND (quality_score <= 100)) AND ((delivery_score >= 0) AND (delivery_score <= 100)) AND ((cost_score >= 0) AND (cost_score <= 100)) AND ((overall_score >= 0) AND (overall_score <= 100))))'),
            ('supplier_performance', 'supplier_performance_total_spend_not_negative',       'CHECK ((total_spend >= (0)::numeric))'),
            ('supplier_performance', 'supplier_performance_evaluator_id_fkey',              'FOREIGN KEY (evaluator_id) REFERENCES profile(id) ON DELETE SET NULL'),
            ('supplier_performance', 'supplier_performance_supplier_id_fkey',               'FOREIGN KEY (supplier_id) REFERENCES supplier(id) ON DELETE CASCADE'),
            ('quality_control',      'quality_control_pkey',                                'PRIMARY KEY (id)'),
            ('quality_control',      'quality_control_quantities_not_negative',             'CHECK (((approved_quantity >= 0) AND (rejected_quantity >= 0) AND (rework_quantity >= 0)))'),
            ('quality_control',      'quality_control_inspector_id_fkey',                   'FOREIGN KEY (inspector_id) REFERENCES profile(id)'),
            ('quality_control',      'quality_control_inventory_item_id_fkey',              'FOREIGN KEY (inventory_item_id) REFERENCES inventory_item(id)'),
            ('quality_control',      'quality_control_org_id_fkey',                         'FOREIGN KEY (org_id) REFERENCES organization(id) ON DELETE CASCADE'),
            ('quality_control',      'quality_control_purchase_order_id_fkey',              'FOREIGN KEY (purchase_order_id) REFERENCES purchase_order(id) ON DELETE SET NULL')
    ),
    found AS (
        SELECT conrelid::regclass::text, conname::text, pg_get_constraintdef(oid)
        FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND convalidated
    )
    SELECT string_agg(constraint_name, ', ' ORDER BY name, constraint_name)
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('constraints missing, different or not validated: %s', wrong);
END
$$;

-- step: indexes are there and valid
DO $$
DECLARE
    wrong  text;
BEGIN
    PERFORM set_config('search_path', 'public, pg_temp', true);
    WITH wanted (name, index_name, definition) AS (
        VALUES
            ('customer_contact',     'idx_customer_contact_customer',           'btree (customer_id)'),
            ('customer_contact',     'idx_customer_contact_email',              'btree (email) WHERE (email IS NOT NULL)'),
            ('customer_contact',     'idx_customer_contact_primary',            'UNIQUE btree (customer_id, is_primary) WHERE (is_primary = true)'),
            ('lead',                 'idx_lead_assigned_to',                    'btree (assigned_to)'),
            ('lead',                 'idx_lead_converted_to_customer',          'btree (converted_to_customer_id)'),
            ('lead',                 'idx_lead_org_created',                    'btree (org_id, created_at DESC)'),
            ('lead',                 'idx_lead_org_email',                      'btree (org_id, lower(email))'),
            ('lead',                 'idx_lead_org_status',                     'btree (org_id, status)'),
            ('opportunity',          'idx_opportunity_assigned_to',             'btree (assigned_to)'),
            ('opportunity',          'idx_opportunity_customer',                'btree (customer_id)'),
            ('opportunity',          'idx_opportunity_lead',                    'btree (lead_id)'),
            ('opportunity',          'idx_opportunity_org_expected_close',      'btree (org_id, expected_close_date)'),
            ('opportunity',          'idx_opportunity_org_stage',               'btree (org_id, stage)'),
            ('crm_activity',         'idx_crm_activity_assigned_to',            'btree (assigned_to, due_date)'),
            ('crm_activity',         'idx_crm_activity_created_by',             'btree (created_by)'),
            ('crm_activity',         'idx_crm_activity_customer',               'btree (customer_id, created_at DESC)'),
            ('crm_activity',         'idx_crm_activity_lead',                   'btree (lead_id)'),
            ('crm_activity',         'idx_crm_activity_opportunity',            'btree (opportunity_id)'),
            ('crm_activity',         'idx_crm_activity_org_created',            'btree (org_id, created_at DESC)'),
            ('crm_activity',         'idx_crm_activity_org_due',                'btree (org_id, due_date) WHERE (is_completed IS NOT TRUE)'),
            ('product',              'idx_product_inventory_item',              'btree (inventory_item_id)'),
            ('product',              'idx_product_org_category',                'btree (org_id, category)'),
            ('product',              'idx_product_org_name',                    'btree (org_id, name)'),
            ('price_list',           'idx_price_list_default',                  'UNIQUE btree (org_id) WHERE (is_default = true)'),
            ('price_list',           'idx_price_list_org_valid_from',           'btree (org_id, valid_from)'),
            ('product_price',        'idx_product_price_one_per_quantity',      'UNIQUE btree (product_id, price_list_id, COALESCE(minimum_quantity, 1))'),
            ('product_price',        'idx_product_price_price_list',            'btree (price_list_id)'),
            ('sales_quote',          'idx_sales_quote_approved_by',             'btree (approved_by)'),
            ('sales_quote',          'idx_sales_quote_created_by',              'btree (created_by)'),
            ('sales_quote',          'idx_sales_quote_customer',                'btree (customer_id, created_at DESC)'),
            ('sales_quote',          'idx_sales_quote_opportunity',             'btree (opportunity_id)'),
            ('sales_quote',          'idx_sales_quote_org_status',              'btree (org_id, status, created_at DESC)'),
            ('sales_quote_item',     'idx_sales_quote_item_product',            'btree (product_id)'),
            ('sales_quote_item',     'idx_sales_quote_item_quote',              'btree (quote_id)'),
            ('sales_order',          'idx_sales_order_approved_by',             'btree (approved_by)'),
            ('sales_order',          'idx_sales_order_created_by',              'btree (created_by)'),
            ('sales_order',          'idx_sales_order_customer',                'btree (customer_id, order_date DESC)'),
            ('sales_order',          'idx_sales_order_org_order_date',          'btree (org_id, order_date DESC)'),
            ('sales_order',          'idx_sales_order_org_status',              'btree (org_id, status)'),
            ('sales_order_item',     'idx_sales_order_item_order',              'btree (order_id)'),
            ('sales_order_item',     'idx_sales_order_item_product',            'btree (product_id)'),
            ('supplier_performance', 'idx_supplier_performance_evaluator',      'btree (evaluator_id)'),
            ('supplier_performance', 'idx_supplier_performance_supplier',       'btree (supplier_id, evaluation_period_end DESC)'),
            ('quality_control',      'idx_quality_control_inspector',           'btree (inspector_id)'),
            ('quality_control',      'idx_quality_control_inventory_item',      'btree (inventory_item_id, inspection_date DESC)'),
            ('quality_control',      'idx_quality_control_org_inspection_date', 'btree (org_id, inspection_date DESC)'),
            ('quality_control',      'idx_quality_control_org_status',          'btree (org_id, status)'),
            ('quality_control',      'idx_quality_control_purchase_order',      'btree (purchase_order_id)')
    ),
    found AS (
        SELECT
            indrelid::regclass::text,
            relname::text,
            CASE WHEN indisunique THEN 'UNIQUE ' ELSE '' END || regexp_replace(pg_get_indexdef(indexrelid), '^.*? USING ', '')
        FROM pg_index
        JOIN pg_class ON pg_class.oid = indexrelid
        WHERE relnamespace = 'public'::regnamespace AND indisvalid AND indisready
    )
    SELECT string_agg(index_name, ', ' ORDER BY index_name)
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('indexes missing, invalid or of another shape: %s', wrong);
END
$$;

-- step: every foreign key of the new tables is indexed
SELECT conrelid::regclass AS name, conname AS foreign_key_without_index
FROM pg_constraint
WHERE contype = 'f'
  AND connamespace = 'public'::regnamespace
  AND conrelid::regclass::text IN (
        'document_number', 'customer_contact', 'lead', 'opportunity', 'crm_activity', 'product',
        'price_list', 'product_price', 'sales_quote', 'sales_quote_item', 'sales_order', 'sales_order_item',
        'supplier_performance', 'quality_control'
  )
  AND NOT EXISTS (
      SELECT
      FROM pg_index
      WHERE indrelid = conrelid
        AND indisvalid
        AND indpred IS NULL
        AND (string_to_array(indkey::text, ' ')::smallint[])[1:cardinality(conkey)] @> conkey
  );

-- step: row-level security is on, and its policies guard reading and writing
DO $$
DECLARE
    wrong  text;
BEGIN
    PERFORM set_config('search_path', 'public, pg_temp', true);
    WITH wanted (name, rule) AS (
        VALUES
            ('document_number',      '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('customer_contact',     '(EXISTS ( SELECT FROM customer WHERE ((customer.id = customer_contact.customer_id) AND (customer.org_id = ( SELECT tenant_org_id() AS tenant_org_id)))))'),
            ('lead',                 '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('opportunity',          '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('crm_activity',         '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('product',              '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('price_list',           '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('product_price',        '(EXISTS ( SELECT FROM product WHERE ((product.id = product_price.product_id) AND (product.org_id = ( SELECT tenant_org_id() AS tenant_org_id)))))'),
            ('sales_quote',          '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('sales_quote_item',     '(EXISTS ( SELECT FROM sales_quote WHERE ((sales_quote.id = sales_quote_item.quote_id) AND (sales_quote.org_id = ( SELECT tenant_org_id() AS tenant_org_id)))))'),
            ('sales_order',          '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('sales_order_item',     '(EXISTS ( SELECT FROM sales_order WHERE ((sales_order.id = sales_order_item.order_id) AND (sales_order.org_id = ( SELECT tenant_org_id() AS tenant_org_id)))))'),
            ('supplier_performance', '(EXISTS ( SELECT FROM supplier WHERE ((supplier.id = supplier_performance.supplier_id) AND (supplier.org_id = ( SELECT tenant_org_id() AS tenant_org_id)))))'),
            ('quality_control',      '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))')
    )
    SELECT string_agg(name, ', ' ORDER BY name)
    INTO wrong
    FROM wanted
    WHERE NOT EXISTS (SELECT FROM pg_class WHERE oid = to_regclass(name) AND relrowsecurity);
    ASSERT wrong IS NULL, format('row-level security is off: %s', wrong);

    WITH wanted (name, rule) AS (
        VALUES
            ('document_number',      '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('customer_contact',     '(EXISTS ( SELECT FROM customer WHERE ((customer.id = customer_contact.customer_id) AND (customer.org_id = ( SELECT tenant_org_id() AS tenant_org_id)))))'),
            ('lead',                 '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('opportunity',          '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('crm_activity',         '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('product',              '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('price_list',           '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('product_price',        '(EXISTS ( SELECT FROM product WHERE ((product.id = product_price.product_id) AND (product.org_id = ( SELECT tenant_org_id() AS tenant_org_id)))))'),
            ('sales_quote',          '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('sales_quote_item',     '(EXISTS ( SELECT FROM sales_quote WHERE ((sales_quote.id = sales_quote_item.quote_id) AND (sales_quote.org_id = ( SELECT tenant_org_id() AS tenant_org_id)))))'),
            ('sales_order',          '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))'),
            ('sales_order_item',     '(EXISTS ( SELECT FROM sales_order WHERE ((sales_order.id = sales_order_item.order_id) AND (sales_order.org_id = ( SELECT tenant_org_id() AS tenant_org_id)))))'),
            ('supplier_performance', '(EXISTS ( SELECT FROM supplier WHERE ((supplier.id = supplier_performance.supplier_id) AND (supplier.org_id = ( SELECT tenant_org_id() AS tenant_org_id)))))'),
            ('quality_control',      '(org_id = ( SELECT tenant_org_id() AS tenant_org_id))')
    )
    SELECT string_agg(name, ', ' ORDER BY name)
    INTO wrong
    FROM wanted
    WHERE NOT EXISTS (
        SELECT
        FROM pg_policies
        WHERE schemaname = 'public'
          AND tablename = name
          AND policyname = 'tenant_isolation'
          AND permissive = 'PERMISSIVE'
          AND cmd = 'ALL'
          AND roles = '{authenticated}'
          AND regexp_replace(qual, '\s+', ' ', 'g') = rule
          AND regexp_replace(with_check, '\s+', ' ', 'g') = rule
    );
    ASSERT wrong IS NULL, format('policy tenant_isolation missing or different: %s', wrong);

    SELECT string_agg(format('%s on %s', policyname, tablename), ', ' ORDER BY tablename, policyname)
    INTO wrong
    FROM pg_policies
    WHERE schemaname = 'public'
      AND policyname <> 'tenant_isolation'
      AND permissive = 'PERMISSIVE'
      AND tablename IN (
        'document_number', 'customer_contact', 'lead', 'opportunity', 'crm_activity', 'product',
        'price_list', 'product_price', 'sales_quote', 'sales_quote_item', 'sales_order', 'sales_order_item',
        'supplier_performance', 'quality_control'
      );
    ASSERT wrong IS NULL, format('policies that are not ours widen the access: %s', wrong);
END
$$;

-- step: rights are as narrow as they should be, and as wide as the application needs
DO $$
DECLARE
    wrong  text;
BEGIN
    SELECT string_agg(format('%s %s %s %s', role, CASE WHEN may THEN 'may' ELSE 'may not' END, privilege, name), ', ')
    INTO wrong
    FROM unnest(ARRAY[
        'document_number', 'customer_contact', 'lead', 'opportunity', 'crm_activity', 'product',
        'price_list', 'product_price', 'sales_quote', 'sales_quote_item', 'sales_order', 'sales_order_item',
        'supplier_performance', 'quality_control'
        ]) AS name,
        unnest(ARRAY['anon', 'authenticated', 'service_role']) AS role,
        unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE']) AS privilege,
        LATERAL (SELECT has_table_privilege(role, name::regclass, privilege)) AS right_now (may)
    WHERE may <> CASE role
        WHEN 'anon' THEN false
        WHEN 'service_role' THEN true
        ELSE privilege <> 'TRUNCATE' AND (name, privilege) <> ('document_number', 'DELETE')
    END;
    ASSERT wrong IS NULL, format('rights too narrow or too wide: %s', wrong);
END
$$;

-- step: triggers are there, switched on, and do what they should
DO $$
DECLARE
    wrong  text;
BEGIN
    PERFORM set_config('search_path', 'public, pg_temp', true);
    WITH wanted (name, trigger_name, definition) AS (
        VALUES
            ('document_number',      'draw_numbers_one_by_one',   'BEFORE INSERT OR UPDATE FOR EACH ROW EXECUTE FUNCTION draw_numbers_one_by_one()'),
            ('customer_contact',     'record_audit',              'AFTER INSERT OR DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION record_audit(''customer_id customer'')'),
            ('customer_contact',     'touch_updated_at',          'BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION touch_updated_at()'),
            ('lead',                 'record_audit',              'AFTER INSERT OR DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION record_audit()'),
            ('lead',                 'refuse_second_conversion',  'BEFORE UPDATE OF converted_at, converted_to_customer_id FOR EACH ROW WHEN (((old.converted_at IS NOT NULL) AND ((new.converted_at IS DISTINCT FROM old.converted_at) OR ((new.converted_to_customer_id IS NOT NULL) AND (new.converted_to_customer_id IS DISTINCT FROM old.converted_to_customer_id))))) EXECUTE FUNCTION refuse_second_conversion()'),
            ('lead',                 'same_organization',         'CONSTRAINT AFTER INSERT OR UPDATE OF converted_to_customer_id, assigned_to NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''org_id'', ''converted_to_customer_id customer'', ''assigned_to profile'')'),
            ('lead',                 'stay_in_organization',      'BEFORE UPDATE OF org_id FOR EACH ROW WHEN ((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('lead',                 'touch_updated_at',          'BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION touch_updated_at()'),
            ('opportunity',          'fill_currency',             'BEFORE INSERT OR UPDATE OF currency FOR EACH ROW WHEN ((new.currency IS NULL)) EXECUTE FUNCTION fill_currency()'),
            ('opportunity',          'record_audit',              'AFTER INSERT OR DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION record_audit()'),
            ('opportunity',          'same_organization',         'CONSTRAINT AFTER INSERT OR UPDATE OF customer_id, lead_id, assigned_to NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''org_id'', ''customer_id customer'', ''lead_id lead'', ''assigned_to profile'')'),
            ('opportunity',          'stay_in_organization',      'BEFORE UPDATE OF org_id FOR EACH ROW WHEN ((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('opportunity',          'touch_updated_at',          'BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION touch_updated_at()'),
            ('crm_activity',         'record_audit',              'AFTER INSERT OR DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION record_audit()'),
            ('crm_activity',         'same_organization',         'CONSTRAINT AFTER INSERT OR UPDATE OF customer_id, lead_id, opportunity_id, assigned_to, created_by NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''org_id'', ''customer_id customer'', ''lead_id lead'', ''opportunity_id opportunity'', ''assigned_to profile'', ''created_by profile'')'),
            ('crm_activity',         'stay_in_organization',      'BEFORE UPDATE OF org_id FOR EACH ROW WHEN ((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('crm_activity',         'touch_updated_at',          'BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION touch_updated_at()'),
            ('product',              'record_audit',              'AFTER INSERT OR DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION record_audit()'),
            ('product',              'same_organization',         'CONSTRAINT AFTER INSERT OR UPDATE OF inventory_item_id NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''org_id'', ''inventory_item_id inventory_item'')'),
            ('product',              'stay_in_organization',      'BEFORE UPDATE OF org_id FOR EACH ROW WHEN ((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('product',              'touch_updated_at',          'BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION touch_updated_at()'),
            ('price_list',           'fill_currency',             'BEFORE INSERT OR UPDATE OF currency FOR EACH ROW WHEN ((new.currency IS NULL)) EXECUTE FUNCTION fill_currency()'),
            ('price_list',           'record_audit',              'AFTER INSERT OR DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION record_audit()'),
            ('price_list',           'stay_in_organization',      'BEFORE UPDATE OF org_id FOR EACH ROW WHEN ((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('price_list',           'touch_updated_at',          'BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION touch_updated_at()'),
            ('product_price',        'record_audit',              'AFTER INSERT OR DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION record_audit(''product_id product'')'),
            ('product_price',        'same_organization',         'CONSTRAINT AFTER INSERT OR UPDATE OF product_id, price_list_id NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''product_id product'', ''price_list_id price_list'')'),
            ('product_price',        'touch_updated_at',          'BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION touch_updated_at()'),
            ('sales_quote',          'assign_document_number',    'BEFORE INSERT FOR EACH ROW EXECUTE FUNCTION assign_document_number(''sales_quote'', ''quote_number'')'),
            ('sales_quote',          'fill_currency',             'BEFORE INSERT OR UPDATE OF currency FOR EACH ROW WHEN ((new.currency IS NULL)) EXECUTE FUNCTION fill_currency()'),
            ('sales_quote',          'keep_sales_totals',         'BEFORE INSERT OR UPDATE FOR EACH ROW EXECUTE FUNCTION keep_sales_totals(''sales_quote_item'', ''quote_id'')'),
            ('sales_quote',          'record_audit',              'AFTER INSERT OR DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION record_audit()'),
            ('sales_quote',          'refuse_second_conversion',  'BEFORE UPDATE OF converted_to_order_id FOR EACH ROW WHEN (((old.converted_to_order_id IS NOT NULL) AND (new.converted_to_order_id IS DISTINCT FROM old.converted_to_order_id))) EXECUTE FUNCTION refuse_second_conversion()'),
            ('sales_quote',          'same_organization',         'CONSTRAINT AFTER INSERT OR UPDATE OF customer_id, opportunity_id, converted_to_order_id, created_by, approved_by NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''org_id'', ''customer_id customer'', ''opportunity_id opportunity'', ''converted_to_order_id sales_order'', ''created_by profile'', ''approved_by profile'')'),
            ('sales_quote',          'stay_in_organization',      'BEFORE UPDATE OF org_id FOR EACH ROW WHEN ((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('sales_quote',          'touch_updated_at',          'BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION touch_updated_at()'),
            ('sales_quote_item',     'carry_totals_of_deleted',   'AFTER DELETE REFERENCING OLD TABLE AS items_before FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header(''sales_quote'', ''quote_id'')'),
            ('sales_quote_item',     'carry_totals_of_inserted',  'AFTER INSERT REFERENCING NEW TABLE AS items_after FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header(''sales_quote'', ''quote_id'')'),
            ('sales_quote_item',     'carry_totals_of_truncated', 'AFTER TRUNCATE FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header(''sales_quote'', ''quote_id'')'),
            ('sales_quote_item',     'carry_totals_of_updated',   'AFTER UPDATE REFERENCING OLD TABLE AS items_before NEW TABLE AS items_after FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header(''sales_quote'', ''quote_id'')'),
            ('sales_quote_item',     'keep_line_total',           'BEFORE INSERT OR UPDATE FOR EACH ROW EXECUTE FUNCTION keep_line_total(''sales_quote'', ''quote_id'')'),
            ('sales_quote_item',     'record_audit',              'AFTER INSERT OR DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION record_audit(''quote_id sales_quote'')'),
            ('sales_quote_item',     'same_organization',         'CONSTRAINT AFTER INSERT OR UPDATE OF quote_id, product_id NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''quote_id sales_quote'', ''product_id product'')'),
            ('sales_order',          'assign_document_number',    'BEFORE INSERT FOR EACH ROW EXECUTE FUNCTION assign_document_number(''sales_order'', ''order_number'')'),
            ('sales_order',          'fill_currency',             'BEFORE INSERT OR UPDATE OF currency FOR EACH ROW WHEN ((new.currency IS NULL)) EXECUTE FUNCTION fill_currency()'),
            ('sales_order',          'keep_sales_totals',         'BEFORE INSERT OR UPDATE FOR EACH ROW EXECUTE FUNCTION keep_sales_totals(''sales_order_item'', ''order_id'')'),
            ('sales_order',          'record_audit',              'AFTER INSERT OR DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION record_audit()'),
            ('sales_order',          'same_organization',         'CONSTRAINT AFTER INSERT OR UPDATE OF customer_id, quote_id, created_by, approved_by NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''org_id'', ''customer_id customer'', ''quote_id sales_quote'', ''created_by profile'', ''approved_by profile'')'),
            ('sales_order',          'stay_in_organization',      'BEFORE UPDATE OF org_id FOR EACH ROW WHEN ((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('sales_order',          'touch_updated_at',          'BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION touch_updated_at()'),
            ('sales_order_item',     'carry_totals_of_deleted',   'AFTER DELETE REFERENCING OLD TABLE AS items_before FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header(''sales_order'', ''order_id'')'),
            ('sales_order_item',     'carry_totals_of_inserted',  'AFTER INSERT REFERENCING NEW TABLE AS items_after FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header(''sales_order'', ''order_id'')'),
            ('sales_order_item',     'carry_totals_of_truncated', 'AFTER TRUNCATE FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header(''sales_order'', ''order_id'')'),
            ('sales_order_item',     'carry_totals_of_updated',   'AFTER UPDATE REFERENCING OLD TABLE AS items_before NEW TABLE AS items_after FOR EACH STATEMENT EXECUTE FUNCTION carry_totals_to_header(''sales_order'', ''order_id'')'),
            ('sales_order_item',     'keep_line_total',           'BEFORE INSERT OR UPDATE FOR EACH ROW EXECUTE FUNCTION keep_line_total(''sales_order'', ''order_id'')'),
            ('sales_order_item',     'record_audit',              'AFTER INSERT OR DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION record_audit(''order_id sales_order'')'),
            ('sales_order_item',     'same_organization',         'CONSTRAINT AFTER INSERT OR UPDATE OF order_id, product_id NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''order_id sales_order'', ''product_id product'')'),
            ('sales_order_item',     'touch_updated_at',          'BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION touch_updated_at()'),
            ('supplier_performance', 'record_audit',              'AFTER INSERT OR DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION record_audit(''supplier_id supplier'')'),
            ('supplier_performance', 'same_organization',         'CONSTRAINT AFTER INSERT OR UPDATE OF supplier_id, evaluator_id NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''supplier_id supplier'', ''evaluator_id profile'')'),
            ('quality_control',      'record_audit',              'AFTER INSERT OR DELETE OR UPDATE FOR EACH ROW EXECUTE FUNCTION record_audit()'),
            ('quality_control',      'same_organization',         'CONSTRAINT AFTER INSERT OR UPDATE OF purchase_order_id, inventory_item_id, inspector_id NOT DEFERRABLE INITIALLY IMMEDIATE FOR EACH ROW EXECUTE FUNCTION must_be_of_same_organization(''org_id'', ''purchase_order_id purchase_order'', ''inventory_item_id inventory_item'', ''inspector_id profile'')'),
            ('quality_control',      'stay_in_organization',      'BEFORE UPDATE OF org_id FOR EACH ROW WHEN ((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization()'),
            ('quality_control',      'touch_updated_at',          'BEFORE UPDATE FOR EACH ROW EXECUTE FUNCTION touch_updated_at()'),
            ('customer',             'stay_in_organization',      'BEFORE UPDATE OF org_id FOR EACH ROW WHEN ((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization(''lead converted_to_customer_id'', ''opportunity customer_id'', ''crm_activity customer_id'', ''sales_quote customer_id'', ''sales_order customer_id'')'),
            ('inventory_item',       'stay_in_organization',      'BEFORE UPDATE OF org_id FOR EACH ROW WHEN ((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization(''product inventory_item_id'', ''quality_control inventory_item_id'')'),
            ('purchase_order',       'stay_in_organization',      'BEFORE UPDATE OF org_id FOR EACH ROW WHEN ((new.org_id IS DISTINCT FROM old.org_id)) EXECUTE FUNCTION stay_in_organization(''quality_control purchase_order_id'')')
    ),
    found AS (
        SELECT
            tgrelid::regclass::text,
            tgname::text,
            CASE WHEN tgconstraint <> 0 THEN 'CONSTRAINT ' ELSE '' END
                || replace(
                    regexp_replace(pg_get_triggerdef(oid), '^CREATE (CONSTRAINT )?TRIGGER \S+ ', ''),
                    ' ON public.' || tgrelid::regclass::text,
                    ''
                )
        FROM pg_trigger
        WHERE NOT tgisinternal AND tgenabled IN ('O', 'A')
    )
    SELECT string_agg(format('%s on %s', trigger_name, name), ', ' ORDER BY name, trigger_name)
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('triggers missing, off or different: %s', wrong);
END
$$;

-- step: functions run as whom they should, with a pinned search_path, for whom they should
DO $$
DECLARE
    wrong  text;
BEGIN
    PERFORM set_config('search_path', 'public, pg_temp', true);
    WITH wanted (function, is_definer, volatility, is_for_application) AS (
        VALUES
            ('accept_quote(uuid)',                            false, 'v', true),
            ('assign_document_number()',                      false, 'v', false),
            ('carry_totals_to_header()',                      true,  'v', false),
            ('convert_lead(uuid,text,numeric,currency_code)', false, 'v', true),
            ('convert_quote_to_order(uuid)',                  false, 'v', true),
            ('draw_numbers_one_by_one()',                     false, 'v', false),
            ('fill_currency()',                               false, 'v', false),
            ('keep_line_total()',                             true,  'v', false),
            ('keep_sales_totals()',                           true,  'v', false),
            ('must_be_of_same_organization()',                true,  'v', false),
            ('next_document_number(uuid,text)',               false, 'v', true),
            ('organization_currency(uuid)',                   false, 's', true),
            ('refuse_second_conversion()',                    false, 'v', false),
            ('stay_in_organization()',                        true,  'v', false)
    ),
    found AS (
        SELECT
            oid::regprocedure::text,
            prosecdef,
            provolatile::text,
            has_function_privilege('authenticated', oid, 'EXECUTE') AND has_function_privilege('service_role', oid, 'EXECUTE')
        FROM pg_proc
        WHERE pronamespace = 'public'::regnamespace
          AND proconfig = ARRAY['search_path=public, pg_temp']
          AND NOT has_function_privilege('anon', oid, 'EXECUTE')
    )
    SELECT string_agg(function, ', ' ORDER BY function)
    INTO wrong
    FROM (TABLE wanted EXCEPT TABLE found) AS missing;
    ASSERT wrong IS NULL, format('functions missing or different: %s', wrong);
END
$$;

-- step: personal data and money are commented as such
DO $$
DECLARE
    wrong  text;
BEGIN
    WITH wanted (name, col, class) AS (
        VALUES
            ('customer_contact',     'first_name',           'personal data: identity'),
            ('customer_contact',     'last_name',            'personal data: identity'),
            ('customer_contact',     'title',                'personal data: identity'),
            ('customer_contact',     'email',                'personal data: contact'),
            ('customer_contact',     'phone',                'personal data: contact'),
            ('customer_contact',     'mobile',               'personal data: contact'),
            ('lead',                 'first_name',           'personal data: identity'),
            ('lead',                 'last_name',            'personal data: identity'),
            ('lead',                 'company',              'personal data: identity'),
            ('lead',                 'title',                'personal data: identity'),
            ('lead',                 'email',                'personal data: contact'),
            ('lead',                 'phone',                'personal data: contact'),
            ('lead',                 'score',                'personal data: behaviour'),
            ('lead',                 'estimated_value',      'money'),
            ('lead',                 'notes',                'personal data: free text'),
            ('lead',                 'tags',                 'personal data: free text'),
            ('lead',                 'custom_fields',        'personal data: free text'),
            ('opportunity',          'name',                 'personal data: identity'),
            ('opportunity',          'description',          'personal data: free text'),
            ('opportunity',          'amount',               'money'),
            ('opportunity',          'currency',             'money'),
            ('opportunity',          'close_reason',         'personal data: free text'),
            ('opportunity',          'next_step',            'personal data: free text'),
            ('crm_activity',         'subject',              'personal data: free text'),
            ('crm_activity',         'description',          'personal data: free text'),
            ('crm_activity',         'completed_at',         'personal data: behaviour'),
            ('crm_activity',         'outcome',              'personal data: free text'),
            ('product',              'base_price',           'money'),
            ('product',              'cost_price',           'money'),
            ('price_list',           'currency',             'money'),
            ('price_list',           'minimum_order_amount', 'money'),
            ('product_price',        'unit_price',           'money'),
            ('product_price',        'discount_percentage',  'money'),
            ('sales_quote',          'title',                'personal data: free text'),
            ('sales_quote',          'description',          'personal data: free text'),
            ('sales_quote',          'currency',             'money'),
            ('sales_quote',          'subtotal',             'money'),
            ('sales_quote',          'tax_amount',           'money'),
            ('sales_quote',          'shipping_amount',      'money'),
            ('sales_quote',          'discount_amount',      'money'),
            ('sales_quote',          'total_amount',         'money'),
            ('sales_quote',          'internal_notes',       'personal data: free text'),
            ('sales_quote_item',     'description',          'personal data: free text'),
            ('sales_quote_item',     'unit_price',           'money'),
            ('sales_quote_item',     'discount_percentage',  'money'),
            ('sales_quote_item',     'line_total',           'money'),
            ('sales_quote_item',     'tax_rate',             'money'),
            ('sales_quote_item',     'notes',                'personal data: free text'),
            ('sales_order',          'currency',             'money'),
            ('sales_order',          'subtotal',             'money'),
            ('sales_order',          'tax_amount',           'money'),
            ('sales_order',          'shipping_amount',      'money'),
            ('sales_order',          'discount_amount',      'money'),
            ('sales_order',          'total_amount',         'money'),
            ('sales_order',          'shipping_address',     'personal data: location'),
            ('sales_order',          'billing_address',      'personal data: location'),
            ('sales_order_item',     'description',          'personal data: free text'),
            ('sales_order_item',     'unit_price',           'money'),
            ('sales_order_item',     'discount_percentage',  'money'),
            ('sales_order_item',     'line_total',           'money'),
            ('sales_order_item',     'tax_rate',             'money'),
            ('sales_order_item',     'notes',                'personal data: free text'),
            ('supplier_performance', 'total_spend',          'money'),
            ('supplier_performance', 'notes',                'personal data: free text'),
            ('quality_control',      'test_results',         'personal data: free text'),
            ('quality_control',      'corrective_actions',   'personal data: free text'),
            ('quality_control',      'notes',                'personal data: free text')
    )
    SELECT string_agg(format('%s.%s', name, col), ', ' ORDER BY name, col)
    INTO wrong
    FROM wanted
    WHERE NOT EXISTS (
        SELECT
        FROM pg_attribute
        WHERE attrelid = name::regclass
          AND attname = col
          AND col_description(attrelid, attnum) LIKE class || ':%'
    );
    ASSERT wrong IS NULL, format('columns not commented as personal data or money: %s', wrong);

    SELECT string_agg(name, ', ' ORDER BY name)
    INTO wrong
    FROM unnest(ARRAY[
        'document_number', 'customer_contact', 'lead', 'opportunity', 'crm_activity', 'product',
        'price_list', 'product_price', 'sales_quote', 'sales_quote_item', 'sales_order', 'sales_order_item',
        'supplier_performance', 'quality_control'
        ]) AS name
    WHERE obj_description(name::regclass, 'pg_class') IS NULL;
    ASSERT wrong IS NULL, format('tables without a comment: %s', wrong);
END
$$;

-- step: headers are the sums of their lines
SELECT 'sales_quote' AS name, header.id, header.subtotal, header.tax_amount, lines.subtotal AS lines, lines.tax AS tax_of_lines
FROM sales_quote AS header
CROSS JOIN LATERAL (
    SELECT coalesce(sum(line_total), 0), coalesce(sum(round_money(line_total * coalesce(tax_rate, 0) * 0.01, header.currency)), 0)
    FROM sales_quote_item
    WHERE quote_id = header.id
) AS lines (subtotal, tax)
WHERE (header.subtotal, header.tax_amount) IS DISTINCT FROM (lines.subtotal, lines.tax)

UNION ALL
SELECT 'sales_order', header.id, header.subtotal, header.tax_amount, lines.subtotal, lines.tax
FROM sales_order AS header
CROSS JOIN LATERAL (
    SELECT coalesce(sum(line_total), 0), coalesce(sum(round_money(line_total * coalesce(tax_rate, 0) * 0.01, header.currency)), 0)
    FROM sales_order_item
    WHERE order_id = header.id
) AS lines (subtotal, tax)
WHERE (header.subtotal, header.tax_amount) IS DISTINCT FROM (lines.subtotal, lines.tax);

-- step: nothing refers to another organisation
SELECT 'sales_order.customer_id' AS reference, sales_order.id
FROM sales_order
JOIN customer ON customer.id = sales_order.customer_id
WHERE customer.org_id <> sales_order.org_id

UNION ALL
SELECT 'sales_quote.customer_id', sales_quote.id
FROM sales_quote
JOIN customer ON customer.id = sales_quote.customer_id
WHERE customer.org_id <> sales_quote.org_id

UNION ALL
SELECT 'opportunity.customer_id', opportunity.id
FROM opportunity
JOIN customer ON customer.id = opportunity.customer_id
WHERE customer.org_id <> opportunity.org_id

UNION ALL
SELECT 'sales_order_item.product_id', item.id
FROM sales_order_item AS item
JOIN sales_order ON sales_order.id = item.order_id
JOIN product ON product.id = item.product_id
WHERE product.org_id <> sales_order.org_id;

-- step: a lead becomes a customer once, and numbers follow one another
-- In a subtransaction that ends with an error of its own, so that nothing of it stays, whoever runs this.
DO $$
DECLARE
    org         uuid;
    lead_id     uuid;
    made        record;
    second_try  text := 'nothing';
    numbers     text[];
BEGIN
    BEGIN
        INSERT INTO organization (name, slug, settings)
        VALUES ('Validation of 002', 'validation-002-' || gen_random_uuid(), '{"currency": "CHF"}')
        RETURNING id INTO org;

        INSERT INTO lead (org_id, first_name, last_name, company, estimated_value)
        VALUES (org, 'Val', 'Idation', 'Validation Ltd', 1234.50)
        RETURNING id INTO lead_id;

        SELECT * INTO made FROM convert_lead(lead_id);
        ASSERT (SELECT (amount, currency) = (1234.50, 'CHF'::currency_code) FROM opportunity WHERE id = made.opportunity_id),
            'convert_lead() made another opportunity than the lead promised';
        ASSERT (SELECT is_primary FROM customer_contact WHERE id = made.contact_id AND customer_id = made.customer_id),
            'convert_lead() made no primary contact';
        BEGIN
            PERFORM convert_lead(lead_id);
        EXCEPTION
            WHEN object_not_in_prerequisite_state THEN
                second_try := 'refused';
        END;
        ASSERT second_try = 'refused', 'convert_lead() converts a lead twice';

        SELECT array_agg(next_document_number(org, 'sales_order')) INTO numbers FROM generate_series(1, 3);
        ASSERT numbers[3] = format('SO-%s-000003', extract(year FROM current_date)),
            format('next_document_number() draws %s', array_to_string(numbers, ', '));

        RAISE EXCEPTION 'the walk is over' USING ERRCODE = 'MR002';
    EXCEPTION
        WHEN SQLSTATE 'MR002' THEN
            NULL;
    END;
    ASSERT NOT EXISTS (SELECT FROM organization WHERE id = org), 'the walk left something behind';
END
$$;

-- step: a quote becomes an order once, with its totals
-- A quote names who wrote it, and users are the platform's to make: the walk goes through the organisation of one who is
-- there, and is taken back as above. Where there is no user at all, there is nobody who could write a quote.
DO $$
DECLARE
    writer       record;
    customer_id  uuid;
    product_id   uuid;
    quote_id     uuid;
    order_id     uuid;
    second_try   text := 'nothing';
BEGIN
    SELECT id, org_id INTO writer FROM profile ORDER BY id LIMIT 1;
    IF NOT FOUND THEN
        RAISE NOTICE 'not applicable here: there is no user: quotes were not tried';
        RETURN;
    END IF;

    BEGIN
        INSERT INTO customer (org_id, name) VALUES (writer.org_id, 'Validation of 002') RETURNING id INTO customer_id;
        INSERT INTO product (org_id, name, sku, base_price)
        VALUES (writer.org_id, 'Validation of 002', 'validation-002-' || gen_random_uuid(), 10)
        RETURNING id INTO product_id;
        INSERT INTO sales_quote (org_id, customer_id, title, currency, shipping_amount, discount_amount, total_amount, created_by)
        VALUES (writer.org_id, customer_id, 'Validation of 002', 'GBP', 5, 1, 999, writer.id)
        RETURNING id INTO quote_id;
        INSERT INTO sales_quote_item (quote_id, product_id, quantity, unit_price, discount_percentage, tax_rate, line_total)
        VALUES (quote_id, product_id, 3, 0.15, 10, 20, 999), (quote_id, product_id, 1.005, 100, 0, 7.5, 999);

        -- 0.405 and 100.50, rounded to 0.41 and 100.50; tax 0.082 and 7.5375, rounded to 0.08 and 7.54
        ASSERT (
            SELECT (subtotal, tax_amount, total_amount) = (100.91, 7.62, 112.53) FROM sales_quote WHERE id = quote_id
        ), 'the totals of a quote are wrong';

        order_id := convert_quote_to_order(quote_id);
        ASSERT (
            SELECT (subtotal, tax_amount, total_amount, currency) = (100.91, 7.62, 112.53, 'GBP'::currency_code)
            FROM sales_order
            WHERE id = order_id
        ), 'the order differs from its quote';
        BEGIN
            PERFORM convert_quote_to_order(quote_id);
        EXCEPTION
            WHEN object_not_in_prerequisite_state THEN
                second_try := 'refused';
        END;
        ASSERT second_try = 'refused', 'convert_quote_to_order() converts a quote twice';

        -- 1.01 and 100.50 in a currency without a minor unit: 1 and 101, with a tax of 7.575, which is 8
        INSERT INTO sales_quote (org_id, customer_id, quote_number, title, currency, created_by)
        VALUES (writer.org_id, customer_id, gen_random_uuid()::text, 'Validation of 002', 'JPY', writer.id)
        RETURNING id INTO quote_id;
        INSERT INTO sales_quote_item (quote_id, product_id, quantity, unit_price, tax_rate)
        VALUES (quote_id, product_id, 1, 1.01, 20), (quote_id, product_id, 1.005, 100, 7.5);
        ASSERT (
            SELECT (subtotal, tax_amount, total_amount) = (102.00, 8.00, 110.00) FROM sales_quote WHERE id = quote_id
        ), 'the totals of a quote in JPY are wrong';

        RAISE EXCEPTION 'the walk is over' USING ERRCODE = 'MR002';
    EXCEPTION
        WHEN SQLSTATE 'MR002' THEN
            NULL;
    END;
    ASSERT NOT EXISTS (SELECT FROM product WHERE id = product_id), 'the walk left something behind';
END
$$;
