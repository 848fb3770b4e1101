-- A row of the acting organisation in each tenant table, so that there is something to reach for, and so that a user's
-- rightful work is seen to succeed. Each step is named after its table, and passed over where the table is not there yet;
-- it is run as a user of the organisation where users may insert, else as the tables' owner. All is rolled back.
-- requires: settings tenants.org, tenants.person, tenants.mark (the word 'apart' and one of its own), and for each
-- step tenants.<table>, the id its row shall have
-- Documents have numbers of their own here: a counter that is drawn from stays locked until the end.

-- step: supplier
INSERT INTO supplier (id, org_id, name)
VALUES (current_setting('tenants.supplier')::uuid, current_setting('tenants.org')::uuid, current_setting('tenants.mark'));

-- step: inventory_item
INSERT INTO inventory_item (id, org_id, sku, name, category, reorder_point)
VALUES (
    current_setting('tenants.inventory_item')::uuid, current_setting('tenants.org')::uuid, current_setting('tenants.mark'),
    current_setting('tenants.mark'), (enum_range(NULL::inventory_category))[1], 5
);

-- step: purchase_order
INSERT INTO purchase_order (id, org_id, supplier_id, po_number)
VALUES (
    current_setting('tenants.purchase_order')::uuid, current_setting('tenants.org')::uuid,
    current_setting('tenants.supplier')::uuid, current_setting('tenants.mark')
);

-- step: purchase_order_item
INSERT INTO purchase_order_item (id, purchase_order_id, inventory_item_id, quantity, unit_price)
VALUES (
    current_setting('tenants.purchase_order_item')::uuid, current_setting('tenants.purchase_order')::uuid,
    current_setting('tenants.inventory_item')::uuid, 1, 1
);

-- step: customer
INSERT INTO customer (id, org_id, name, email)
VALUES (
    current_setting('tenants.customer')::uuid, current_setting('tenants.org')::uuid, current_setting('tenants.mark'),
    'apart@example.org'
);

-- step: customer_interaction
INSERT INTO customer_interaction (id, org_id, customer_id, channel, type, content, timestamp)
VALUES (
    current_setting('tenants.customer_interaction')::uuid, current_setting('tenants.org')::uuid,
    current_setting('tenants.customer')::uuid, 'email', 'inquiry', current_setting('tenants.mark'), '2025-08-01 12:00+00'
);

-- step: support_ticket
INSERT INTO support_ticket (id, org_id, customer_id, ticket_number, title, description)
VALUES (
    current_setting('tenants.support_ticket')::uuid, current_setting('tenants.org')::uuid,
    current_setting('tenants.customer')::uuid, current_setting('tenants.mark'), current_setting('tenants.mark'), 'apart'
);

-- step: ticket_comment
INSERT INTO ticket_comment (id, ticket_id, user_id, content)
VALUES (
    current_setting('tenants.ticket_comment')::uuid, current_setting('tenants.support_ticket')::uuid,
    current_setting('tenants.person')::uuid, current_setting('tenants.mark')
);

-- step: ai_conversation
INSERT INTO ai_conversation (id, org_id, user_id, title, model)
VALUES (
    current_setting('tenants.ai_conversation')::uuid, current_setting('tenants.org')::uuid,
    current_setting('tenants.person')::uuid, current_setting('tenants.mark'), 'apart'
);

-- step: ai_message
INSERT INTO ai_message (id, conversation_id, role, content, timestamp)
VALUES (
    current_setting('tenants.ai_message')::uuid, current_setting('tenants.ai_conversation')::uuid, 'user',
    current_setting('tenants.mark'), '2025-08-01 12:00+00'
);

-- step: ai_dataset
INSERT INTO ai_dataset (id, org_id, name, data_type, created_by)
VALUES (
    current_setting('tenants.ai_dataset')::uuid, current_setting('tenants.org')::uuid, current_setting('tenants.mark'), 'csv',
    current_setting('tenants.person')::uuid
);

-- step: ai_prompt_template
INSERT INTO ai_prompt_template (id, org_id, name, template_text, category, created_by)
VALUES (
    current_setting('tenants.ai_prompt_template')::uuid, current_setting('tenants.org')::uuid,
    current_setting('tenants.mark'), 'apart', 'analysis', current_setting('tenants.person')::uuid
);

-- step: integration_connector
INSERT INTO integration_connector (id, org_id, name, provider, config, created_by)
VALUES (
    current_setting('tenants.integration_connector')::uuid, current_setting('tenants.org')::uuid,
    current_setting('tenants.mark'), 'stripe', '{}', current_setting('tenants.person')::uuid
);

-- step: automation_pipeline
INSERT INTO automation_pipeline (id, org_id, name, trigger_type, trigger_config, action_config, created_by)
VALUES (
    current_setting('tenants.automation_pipeline')::uuid, current_setting('tenants.org')::uuid,
    current_setting('tenants.mark'), 'manual', '{}', '{}', current_setting('tenants.person')::uuid
);

-- step: pipeline_execution
INSERT INTO pipeline_execution (id, pipeline_id, error_message, started_at)
VALUES (
    current_setting('tenants.pipeline_execution')::uuid, current_setting('tenants.automation_pipeline')::uuid,
    current_setting('tenants.mark'), '2025-08-01 12:00+00'
);

-- step: data_import
INSERT INTO data_import (id, org_id, file_name, created_by)
VALUES (
    current_setting('tenants.data_import')::uuid, current_setting('tenants.org')::uuid, current_setting('tenants.mark'),
    current_setting('tenants.person')::uuid
);

-- step: integration_log
INSERT INTO integration_log (id, org_id, level, message)
VALUES (
    current_setting('tenants.integration_log')::uuid, current_setting('tenants.org')::uuid, 'info',
    current_setting('tenants.mark')
);

-- step: dashboard
INSERT INTO dashboard (id, org_id, name, layout_config, created_by)
VALUES (
    current_setting('tenants.dashboard')::uuid, current_setting('tenants.org')::uuid, current_setting('tenants.mark'), '{}',
    current_setting('tenants.person')::uuid
);

-- step: widget
INSERT INTO widget (id, org_id, dashboard_id, name, type, config, position, size)
VALUES (
    current_setting('tenants.widget')::uuid, current_setting('tenants.org')::uuid, current_setting('tenants.dashboard')::uuid,
    current_setting('tenants.mark'), 'text', '{}', '{}', '{}'
);

-- step: widget_data_cache
INSERT INTO widget_data_cache (id, widget_id, data_hash, cached_data, expires_at)
VALUES (
    current_setting('tenants.widget_data_cache')::uuid, current_setting('tenants.widget')::uuid, 'apart',
    to_jsonb(current_setting('tenants.mark')), now() + interval '1 hour'
);

-- step: dashboard_favorite
INSERT INTO dashboard_favorite (id, user_id, dashboard_id)
VALUES (
    current_setting('tenants.dashboard_favorite')::uuid, current_setting('tenants.person')::uuid,
    current_setting('tenants.dashboard')::uuid
);

-- step: dashboard_share
INSERT INTO dashboard_share (id, dashboard_id, shared_by, share_token)
VALUES (
    current_setting('tenants.dashboard_share')::uuid, current_setting('tenants.dashboard')::uuid,
    current_setting('tenants.person')::uuid, current_setting('tenants.mark')
);

-- step: alert_rule
INSERT INTO alert_rule (id, org_id, name, metric_name, condition, created_by)
VALUES (
    current_setting('tenants.alert_rule')::uuid, current_setting('tenants.org')::uuid, current_setting('tenants.mark'),
    'apart', '{}', current_setting('tenants.person')::uuid
);

-- step: system_metric
INSERT INTO system_metric (id, org_id, metric_name, metric_type, metric_value, timestamp)
VALUES (
    current_setting('tenants.system_metric')::uuid, current_setting('tenants.org')::uuid, current_setting('tenants.mark'),
    'gauge', 1, '2025-08-01 12:00+00'
);

-- step: notification
INSERT INTO notification (id, org_id, user_id, type, title, message)
VALUES (
    current_setting('tenants.notification')::uuid, current_setting('tenants.org')::uuid,
    current_setting('tenants.person')::uuid, 'info', current_setting('tenants.mark'), 'apart'
);

-- step: audit_log
INSERT INTO audit_log (id, org_id, user_id, action, table_name, new_data)
VALUES (
    current_setting('tenants.audit_log')::uuid, current_setting('tenants.org')::uuid, current_setting('tenants.person')::uuid,
    'LOGIN', 'profile', to_jsonb(current_setting('tenants.mark'))
);

-- step: api_key
INSERT INTO api_key (id, org_id, user_id, name, key_hash, key_prefix)
VALUES (
    current_setting('tenants.api_key')::uuid, current_setting('tenants.org')::uuid, current_setting('tenants.person')::uuid,
    'apart', current_setting('tenants.mark'), 'apart'
);

-- step: user_session
INSERT INTO user_session (id, user_id, session_token_hash, expires_at)
VALUES (
    current_setting('tenants.user_session')::uuid, current_setting('tenants.person')::uuid, current_setting('tenants.mark'),
    'infinity'
);

-- step: user_2fa
INSERT INTO user_2fa (id, user_id, method, secret_encrypted)
VALUES (
    current_setting('tenants.user_2fa')::uuid, current_setting('tenants.person')::uuid, 'apart', current_setting('tenants.mark')
);

-- step: document_number
INSERT INTO document_number (org_id, kind, year, last_number) VALUES (current_setting('tenants.org')::uuid, 'apart', 2025, 1);

-- step: customer_contact
INSERT INTO customer_contact (id, customer_id, first_name, last_name)
VALUES (
    current_setting('tenants.customer_contact')::uuid, current_setting('tenants.customer')::uuid, 'apart',
    current_setting('tenants.mark')
);

-- step: lead
INSERT INTO lead (id, org_id, first_name, last_name)
VALUES (
    current_setting('tenants.lead')::uuid, current_setting('tenants.org')::uuid, 'apart', current_setting('tenants.mark')
);

-- step: opportunity
-- With a currency, as all below: whose organisation has one that nobody decided on yet can have no other.
INSERT INTO opportunity (id, org_id, customer_id, name, amount, currency)
VALUES (
    current_setting('tenants.opportunity')::uuid, current_setting('tenants.org')::uuid,
    current_setting('tenants.customer')::uuid, current_setting('tenants.mark'), 1, 'USD'
);

-- step: crm_activity
INSERT INTO crm_activity (id, org_id, type, subject, created_by)
VALUES (
    current_setting('tenants.crm_activity')::uuid, current_setting('tenants.org')::uuid, 'call',
    current_setting('tenants.mark'), current_setting('tenants.person')::uuid
);

-- step: product
INSERT INTO product (id, org_id, name, sku, base_price)
VALUES (
    current_setting('tenants.product')::uuid, current_setting('tenants.org')::uuid, 'apart', current_setting('tenants.mark'), 1
);

-- step: price_list
INSERT INTO price_list (id, org_id, name, valid_from, currency)
VALUES (
    current_setting('tenants.price_list')::uuid, current_setting('tenants.org')::uuid, current_setting('tenants.mark'),
    '2025-01-01', 'USD'
);

-- step: product_price
INSERT INTO product_price (id, product_id, price_list_id, unit_price)
VALUES (
    current_setting('tenants.product_price')::uuid, current_setting('tenants.product')::uuid,
    current_setting('tenants.price_list')::uuid, 1
);

-- step: sales_quote
INSERT INTO sales_quote (id, org_id, customer_id, quote_number, title, created_by, currency)
VALUES (
    current_setting('tenants.sales_quote')::uuid, current_setting('tenants.org')::uuid,
    current_setting('tenants.customer')::uuid, current_setting('tenants.mark'), 'apart',
    current_setting('tenants.person')::uuid, 'USD'
);

-- step: sales_quote_item
INSERT INTO sales_quote_item (id, quote_id, product_id, description, quantity, unit_price)
VALUES (
    current_setting('tenants.sales_quote_item')::uuid, current_setting('tenants.sales_quote')::uuid,
    current_setting('tenants.product')::uuid, current_setting('tenants.mark'), 1, 1
);

-- step: sales_order
INSERT INTO sales_order (id, org_id, customer_id, order_number, created_by, currency)
VALUES (
    current_setting('tenants.sales_order')::uuid, current_setting('tenants.org')::uuid,
    current_setting('tenants.customer')::uuid, current_setting('tenants.mark'), current_setting('tenants.person')::uuid,
    'USD'
);

-- step: sales_order_item
INSERT INTO sales_order_item (id, order_id, product_id, description, quantity, unit_price)
VALUES (
    current_setting('tenants.sales_order_item')::uuid, current_setting('tenants.sales_order')::uuid,
    current_setting('tenants.product')::uuid, current_setting('tenants.mark'), 1, 1
);

-- step: supplier_performance
INSERT INTO supplier_performance (id, supplier_id, evaluation_period_start, evaluation_period_end, notes)
VALUES (
    current_setting('tenants.supplier_performance')::uuid, current_setting('tenants.supplier')::uuid, '2025-01-01',
    '2025-03-31', current_setting('tenants.mark')
);

-- step: quality_control
INSERT INTO quality_control (id, org_id, inventory_item_id, inspector_id, notes)
VALUES (
    current_setting('tenants.quality_control')::uuid, current_setting('tenants.org')::uuid,
    current_setting('tenants.inventory_item')::uuid, current_setting('tenants.person')::uuid, current_setting('tenants.mark')
);

-- step: account
INSERT INTO account (id, org_id, code, name, account_type, normal_balance)
VALUES (
    current_setting('tenants.account')::uuid, current_setting('tenants.org')::uuid, 'apart', current_setting('tenants.mark'),
    'asset', 'debit'
);

-- step: tax_rate
INSERT INTO tax_rate (id, org_id, name, tax_type, rate, effective_from)
VALUES (
    current_setting('tenants.tax_rate')::uuid, current_setting('tenants.org')::uuid, current_setting('tenants.mark'), 'vat',
    0.2, '2025-01-01'
);

-- step: exchange_rate
INSERT INTO exchange_rate (id, org_id, base_currency, quote_currency, rate, valid_from, source)
VALUES (
    current_setting('tenants.exchange_rate')::uuid, current_setting('tenants.org')::uuid, 'EUR', 'USD', 1.25, '1999-01-01',
    current_setting('tenants.mark')
);

-- step: invoice
INSERT INTO invoice (id, org_id, customer_id, invoice_number, due_date, created_by)
VALUES (
    current_setting('tenants.invoice')::uuid, current_setting('tenants.org')::uuid, current_setting('tenants.customer')::uuid,
    current_setting('tenants.mark'), '9999-12-31', current_setting('tenants.person')::uuid
);

-- step: invoice_item
INSERT INTO invoice_item (id, invoice_id, description, quantity, unit_price)
VALUES (
    current_setting('tenants.invoice_item')::uuid, current_setting('tenants.invoice')::uuid, current_setting('tenants.mark'),
    1, 10
);

-- step: payment
INSERT INTO payment (id, org_id, customer_id, payment_number, amount, payment_method, status)
VALUES (
    current_setting('tenants.payment')::uuid, current_setting('tenants.org')::uuid, current_setting('tenants.customer')::uuid,
    current_setting('tenants.mark'), 10, 'cash', 'completed'
);

-- step: payment_allocation
INSERT INTO payment_allocation (id, org_id, payment_id, invoice_id, amount)
VALUES (
    current_setting('tenants.payment_allocation')::uuid, current_setting('tenants.org')::uuid,
    current_setting('tenants.payment')::uuid, current_setting('tenants.invoice')::uuid, 5
);

-- step: journal_entry
INSERT INTO journal_entry (id, org_id, entry_number, description, created_by)
VALUES (
    current_setting('tenants.journal_entry')::uuid, current_setting('tenants.org')::uuid, current_setting('tenants.mark'),
    'apart', current_setting('tenants.person')::uuid
);

-- step: journal_entry_line
INSERT INTO journal_entry_line (id, journal_entry_id, account_id, description, debit_amount, line_number)
VALUES (
    current_setting('tenants.journal_entry_line')::uuid, current_setting('tenants.journal_entry')::uuid,
    current_setting('tenants.account')::uuid, current_setting('tenants.mark'), 1, 1
);

-- step: document
INSERT INTO document (id, org_id, name, file_name, file_size_bytes, mime_type, file_hash, storage_path, uploaded_by)
VALUES (
    current_setting('tenants.document')::uuid, current_setting('tenants.org')::uuid, current_setting('tenants.mark'), 'apart',
    1, 'text/plain', 'apart', 'apart', current_setting('tenants.person')::uuid
);

-- step: document_permission
INSERT INTO document_permission (id, document_id, user_id, permission_type, granted_by)
VALUES (
    current_setting('tenants.document_permission')::uuid, current_setting('tenants.document')::uuid,
    current_setting('tenants.person')::uuid, 'read', current_setting('tenants.person')::uuid
);

-- step: document_access_log
INSERT INTO document_access_log (id, document_id, user_id, action, user_agent)
VALUES (
    current_setting('tenants.document_access_log')::uuid, current_setting('tenants.document')::uuid,
    current_setting('tenants.person')::uuid, 'download', current_setting('tenants.mark')
);

-- step: communication_template
INSERT INTO communication_template (id, org_id, name, template_type, content, created_by)
VALUES (
    current_setting('tenants.communication_template')::uuid, current_setting('tenants.org')::uuid,
    current_setting('tenants.mark'), 'email', 'apart', current_setting('tenants.person')::uuid
);

-- step: communication_campaign
INSERT INTO communication_campaign (id, org_id, name, template_id, created_by)
VALUES (
    current_setting('tenants.communication_campaign')::uuid, current_setting('tenants.org')::uuid,
    current_setting('tenants.mark'), current_setting('tenants.communication_template')::uuid,
    current_setting('tenants.person')::uuid
);

-- step: communication_log
INSERT INTO communication_log (id, org_id, recipient_type, recipient_id, content)
VALUES (
    current_setting('tenants.communication_log')::uuid, current_setting('tenants.org')::uuid, 'customer',
    current_setting('tenants.customer')::uuid, current_setting('tenants.mark')
);
