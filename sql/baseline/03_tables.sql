-- Baseline 03: the 28 tables of MantisNXT before phase 1, and 16 partitions.
-- requires: 01_auth.sql or 01_auth_extended.sql, 02_types.sql
-- Foreign keys to the user table stand at the end, because its name differs between the installations.
-- Money carries no currency here: organization.settings may name one, otherwise USD is meant.
-- What was ordered stays: a supplier or an item with orders cannot be deleted, nor an organisation before its orders.


------------------------------------
-- Organisations and their people --
------------------------------------

CREATE TABLE organization (
    id          uuid               PRIMARY KEY DEFAULT gen_random_uuid(),
    name        text               NOT NULL,
    slug        text               NOT NULL,
    plan_type   organization_plan  NOT NULL DEFAULT 'starter',
    settings    jsonb              DEFAULT '{}',
    created_at  timestamptz        DEFAULT now(),
    updated_at  timestamptz        DEFAULT now(),

    CONSTRAINT organization_name_length
        CHECK (char_length(name) BETWEEN 2 AND 100),
    CONSTRAINT organization_slug_is_lower_case_words
        CHECK (slug ~ '^[a-z0-9-]+$' AND char_length(slug) >= 2),
    CONSTRAINT organization_slug_is_unique
        UNIQUE (slug)
);

COMMENT ON TABLE  organization          IS
    'A tenant: the company whose people, customers and stock the other tables hold.';
COMMENT ON COLUMN organization.name     IS 'not personal: the company''s name.';
COMMENT ON COLUMN organization.settings IS
    'not personal: how the application is set up. May hold {"currency": "EUR"}; where it does not, the organisation''s amounts are in USD.';

CREATE TABLE profile (
    id            uuid         PRIMARY KEY,
    org_id        uuid         NOT NULL REFERENCES organization ON DELETE CASCADE,
    role          user_role    NOT NULL DEFAULT 'cs_agent',
    display_name  text         NOT NULL,
    avatar_url    text,
    settings      jsonb        DEFAULT '{}',
    last_seen_at  timestamptz,
    is_active     boolean      DEFAULT true,
    created_at    timestamptz  DEFAULT now(),
    updated_at    timestamptz  DEFAULT now(),

    CONSTRAINT profile_avatar_url_is_a_url
        CHECK (avatar_url IS NULL OR avatar_url ~ '^https?://'),
    CONSTRAINT profile_display_name_length
        CHECK (char_length(display_name) BETWEEN 1 AND 100)
);

COMMENT ON TABLE  profile              IS 'A user inside an organisation; the id is the user''s id.';
COMMENT ON COLUMN profile.display_name IS 'personal data: identity: the person''s name.';
COMMENT ON COLUMN profile.avatar_url   IS 'personal data: identity: the person''s picture.';
COMMENT ON COLUMN profile.settings     IS 'personal data: behaviour: how the person likes the application.';
COMMENT ON COLUMN profile.last_seen_at IS 'personal data: behaviour: when the person was last active.';


------------------
-- Supply chain --
------------------

CREATE TABLE supplier (
    id              uuid             PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id          uuid             NOT NULL REFERENCES organization ON DELETE CASCADE,
    name            text             NOT NULL,
    contact_email   text,
    contact_phone   text,
    address         jsonb,
    risk_score      integer          DEFAULT 0,
    status          supplier_status  DEFAULT 'pending_approval',
    payment_terms   text,
    lead_time_days  integer          DEFAULT 0,
    certifications  text[]           DEFAULT '{}',
    notes           text,
    created_at      timestamptz      DEFAULT now(),
    updated_at      timestamptz      DEFAULT now(),

    CONSTRAINT supplier_name_length
        CHECK (char_length(name) BETWEEN 2 AND 200),
    CONSTRAINT supplier_contact_email_is_an_address
        CHECK (contact_email IS NULL OR contact_email ~ '^[^@\s]+@[^@\s]+\.[^@\s]+$'),
    CONSTRAINT supplier_risk_score_is_a_percentage
        CHECK (risk_score BETWEEN 0 AND 100),
    CONSTRAINT supplier_lead_time_not_negative
        CHECK (lead_time_days >= 0)
);

COMMENT ON TABLE  supplier               IS 'Who an organisation buys from.';
COMMENT ON COLUMN supplier.name          IS 'personal data: identity: may be a sole trader''s name.';
COMMENT ON COLUMN supplier.contact_email IS 'personal data: contact: the contact''s address.';
COMMENT ON COLUMN supplier.contact_phone IS 'personal data: contact: the contact''s number.';
COMMENT ON COLUMN supplier.address       IS 'personal data: location: where the supplier is.';
COMMENT ON COLUMN supplier.notes         IS 'personal data: free text: may name people.';

CREATE TABLE inventory_item (
    id                 uuid                PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id             uuid                NOT NULL REFERENCES organization ON DELETE CASCADE,
    sku                text                NOT NULL,
    name               text                NOT NULL,
    description        text,
    category           inventory_category  NOT NULL,
    unit_price         numeric(10,2)       DEFAULT 0,
    quantity_on_hand   integer             DEFAULT 0,
    quantity_reserved  integer             DEFAULT 0,
    reorder_point      integer             DEFAULT 0,
    max_stock_level    integer,
    unit_of_measure    text                DEFAULT 'each',
    supplier_id        uuid                REFERENCES supplier ON DELETE SET NULL,
    barcode            text,
    location           text,
    is_active          boolean             DEFAULT true,
    created_at         timestamptz         DEFAULT now(),
    updated_at         timestamptz         DEFAULT now(),

    CONSTRAINT inventory_item_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT inventory_item_unit_price_not_negative
        CHECK (unit_price >= 0),
    CONSTRAINT inventory_item_quantity_on_hand_not_negative
        CHECK (quantity_on_hand >= 0),
    CONSTRAINT inventory_item_quantity_reserved_not_negative
        CHECK (quantity_reserved >= 0),
    CONSTRAINT inventory_item_reserved_is_on_hand
        CHECK (quantity_reserved <= quantity_on_hand),
    CONSTRAINT inventory_item_reorder_point_not_negative
        CHECK (reorder_point >= 0),
    CONSTRAINT inventory_item_max_stock_level_positive
        CHECK (max_stock_level IS NULL OR max_stock_level > 0),
    CONSTRAINT inventory_item_sku_is_unique_in_organization
        UNIQUE (org_id, sku)
);

COMMENT ON TABLE  inventory_item             IS 'A stock-keeping unit of an organisation.';
COMMENT ON COLUMN inventory_item.name        IS 'not personal: what the item is called.';
COMMENT ON COLUMN inventory_item.description IS 'not personal: what the item is.';
COMMENT ON COLUMN inventory_item.unit_price  IS 'Money, in the organisation''s currency.';
COMMENT ON COLUMN inventory_item.location    IS 'not personal: the shelf it lies on.';

CREATE TABLE purchase_order (
    id                      uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id                  uuid           NOT NULL REFERENCES organization ON DELETE CASCADE,
    supplier_id             uuid           NOT NULL REFERENCES supplier,
    po_number               text           NOT NULL,
    status                  po_status      DEFAULT 'draft',
    total_amount            numeric(12,2)  DEFAULT 0,
    tax_amount              numeric(12,2)  DEFAULT 0,
    shipping_amount         numeric(12,2)  DEFAULT 0,
    order_date              date           DEFAULT CURRENT_DATE,
    expected_delivery_date  date,
    actual_delivery_date    date,
    created_by              uuid,
    approved_by             uuid,
    approved_at             timestamptz,
    notes                   text,
    created_at              timestamptz    DEFAULT now(),
    updated_at              timestamptz    DEFAULT now(),

    CONSTRAINT purchase_order_total_amount_not_negative
        CHECK (total_amount >= 0),
    CONSTRAINT purchase_order_tax_amount_not_negative
        CHECK (tax_amount >= 0),
    CONSTRAINT purchase_order_shipping_amount_not_negative
        CHECK (shipping_amount >= 0),
    CONSTRAINT purchase_order_expected_after_ordered
        CHECK (expected_delivery_date IS NULL OR expected_delivery_date >= order_date),
    CONSTRAINT purchase_order_delivered_after_ordered
        CHECK (actual_delivery_date IS NULL OR actual_delivery_date >= order_date),
    CONSTRAINT purchase_order_approval_has_person_and_time
        CHECK (
            (approved_by IS NULL AND approved_at IS NULL)
            OR (approved_by IS NOT NULL AND approved_at IS NOT NULL)
        ),
    CONSTRAINT purchase_order_number_is_unique_in_organization
        UNIQUE (org_id, po_number)
);

COMMENT ON TABLE  purchase_order                 IS 'An order to a supplier; total_amount is kept by trigger.';
COMMENT ON COLUMN purchase_order.total_amount    IS
    'Money, in the organisation''s currency: the sum of the lines'' total_price, before tax and shipping; kept by trigger.';
COMMENT ON COLUMN purchase_order.tax_amount      IS 'Money, in the organisation''s currency.';
COMMENT ON COLUMN purchase_order.shipping_amount IS 'Money, in the organisation''s currency.';
COMMENT ON COLUMN purchase_order.notes           IS 'personal data: free text: may name people.';

CREATE TABLE purchase_order_item (
    id                 uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    purchase_order_id  uuid           NOT NULL REFERENCES purchase_order ON DELETE CASCADE,
    inventory_item_id  uuid           NOT NULL REFERENCES inventory_item,
    quantity           integer        NOT NULL,
    unit_price         numeric(10,2)  NOT NULL,
    total_price        numeric(12,2)  GENERATED ALWAYS AS (quantity * unit_price) STORED,
    quantity_received  integer        DEFAULT 0,
    created_at         timestamptz    DEFAULT now(),
    updated_at         timestamptz    DEFAULT now(),

    CONSTRAINT purchase_order_item_quantity_positive
        CHECK (quantity > 0),
    CONSTRAINT purchase_order_item_unit_price_not_negative
        CHECK (unit_price >= 0),
    CONSTRAINT purchase_order_item_quantity_received_not_negative
        CHECK (quantity_received >= 0),
    CONSTRAINT purchase_order_item_received_was_ordered
        CHECK (quantity_received <= quantity)
);

COMMENT ON TABLE  purchase_order_item             IS 'A line of a purchase order.';
COMMENT ON COLUMN purchase_order_item.unit_price  IS 'Money, in the organisation''s currency.';
COMMENT ON COLUMN purchase_order_item.total_price IS
    'Money, in the organisation''s currency: quantity × unit_price, generated.';


---------------------------
-- Customers and support --
---------------------------

CREATE TABLE customer (
    id                     uuid              PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id                 uuid              NOT NULL REFERENCES organization ON DELETE CASCADE,
    name                   text              NOT NULL,
    email                  text,
    phone                  text,
    company                text,
    segment                customer_segment,
    status                 customer_status   DEFAULT 'prospect',
    lifetime_value         numeric(12,2)     DEFAULT 0,
    acquisition_date       date,
    last_interaction_date  date,
    address                jsonb,
    metadata               jsonb             DEFAULT '{}',
    tags                   text[]            DEFAULT '{}',
    created_at             timestamptz       DEFAULT now(),
    updated_at             timestamptz       DEFAULT now(),

    CONSTRAINT customer_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT customer_email_is_an_address
        CHECK (email IS NULL OR email ~ '^[^@]+@[^@]+\.[^@]+$'),
    CONSTRAINT customer_lifetime_value_not_negative
        CHECK (lifetime_value >= 0),
    CONSTRAINT customer_interaction_after_acquisition
        CHECK (last_interaction_date IS NULL OR acquisition_date IS NULL OR last_interaction_date >= acquisition_date)
);

COMMENT ON TABLE  customer                IS 'Who an organisation sells to.';
COMMENT ON COLUMN customer.name           IS 'personal data: identity: the customer''s name.';
COMMENT ON COLUMN customer.email          IS 'personal data: contact: the customer''s address.';
COMMENT ON COLUMN customer.phone          IS 'personal data: contact: the customer''s number.';
COMMENT ON COLUMN customer.company        IS 'personal data: identity: where the customer works.';
COMMENT ON COLUMN customer.lifetime_value IS
    'Money, in the organisation''s currency: what the customer has brought in.';
COMMENT ON COLUMN customer.address        IS 'personal data: location: where the customer lives or works.';
COMMENT ON COLUMN customer.metadata       IS 'personal data: free text: whatever the application noted.';

CREATE TABLE customer_interaction (
    id                uuid                 NOT NULL DEFAULT gen_random_uuid(),
    org_id            uuid                 NOT NULL REFERENCES organization ON DELETE CASCADE,
    customer_id       uuid                 NOT NULL REFERENCES customer ON DELETE CASCADE,
    user_id           uuid,
    channel           interaction_channel  NOT NULL,
    type              interaction_type     NOT NULL,
    subject           text,
    content           text                 NOT NULL,
    sentiment         sentiment_score,
    duration_minutes  integer,
    metadata          jsonb                DEFAULT '{}',
    timestamp         timestamptz          NOT NULL DEFAULT now(),

    PRIMARY KEY (id, timestamp),
    CONSTRAINT customer_interaction_subject_length
        CHECK (subject IS NULL OR char_length(subject) <= 500),
    CONSTRAINT customer_interaction_content_not_empty
        CHECK (char_length(content) > 0),
    CONSTRAINT customer_interaction_duration_positive
        CHECK (duration_minutes IS NULL OR duration_minutes > 0)
) PARTITION BY RANGE (timestamp);

CREATE TABLE customer_interaction_2024_q4 PARTITION OF customer_interaction
    FOR VALUES FROM ('2024-10-01 00:00+00') TO ('2025-01-01 00:00+00');
CREATE TABLE customer_interaction_2025_q1 PARTITION OF customer_interaction
    FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2025-04-01 00:00+00');
CREATE TABLE customer_interaction_2025_q2 PARTITION OF customer_interaction
    FOR VALUES FROM ('2025-04-01 00:00+00') TO ('2025-07-01 00:00+00');
CREATE TABLE customer_interaction_2025_q3 PARTITION OF customer_interaction
    FOR VALUES FROM ('2025-07-01 00:00+00') TO ('2025-10-01 00:00+00');

COMMENT ON TABLE  customer_interaction          IS
    'A contact with a customer; partitioned by quarter, without a default partition.';
COMMENT ON COLUMN customer_interaction.subject  IS 'personal data: free text: may name people.';
COMMENT ON COLUMN customer_interaction.content  IS 'personal data: free text: may name people.';
COMMENT ON COLUMN customer_interaction.metadata IS 'personal data: free text: whatever the application noted.';

CREATE TABLE support_ticket (
    id                 uuid             PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id             uuid             NOT NULL REFERENCES organization ON DELETE CASCADE,
    customer_id        uuid             NOT NULL REFERENCES customer ON DELETE CASCADE,
    assigned_to        uuid,
    ticket_number      text             NOT NULL,
    title              text             NOT NULL,
    description        text             NOT NULL,
    priority           ticket_priority  DEFAULT 'medium',
    status             ticket_status    DEFAULT 'open',
    category           text,
    tags               text[]           DEFAULT '{}',
    resolution_notes   text,
    first_response_at  timestamptz,
    resolved_at        timestamptz,
    closed_at          timestamptz,
    sla_due_at         timestamptz,
    created_at         timestamptz      DEFAULT now(),
    updated_at         timestamptz      DEFAULT now(),

    CONSTRAINT support_ticket_title_length
        CHECK (char_length(title) BETWEEN 1 AND 500),
    CONSTRAINT support_ticket_description_not_empty
        CHECK (char_length(description) > 0),
    CONSTRAINT support_ticket_first_response_after_creation
        CHECK (first_response_at IS NULL OR first_response_at >= created_at),
    CONSTRAINT support_ticket_resolved_after_creation
        CHECK (resolved_at IS NULL OR resolved_at >= created_at),
    CONSTRAINT support_ticket_closed_after_resolution
        CHECK (closed_at IS NULL OR resolved_at IS NULL OR closed_at >= resolved_at),
    CONSTRAINT support_ticket_number_is_unique_in_organization
        UNIQUE (org_id, ticket_number)
);

COMMENT ON TABLE  support_ticket                  IS
    'A customer''s request; its number and first response are kept by trigger.';
COMMENT ON COLUMN support_ticket.title            IS 'personal data: free text: may name people.';
COMMENT ON COLUMN support_ticket.description      IS 'personal data: free text: may name people.';
COMMENT ON COLUMN support_ticket.resolution_notes IS 'personal data: free text: may name people.';

CREATE TABLE ticket_comment (
    id             uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    ticket_id      uuid         NOT NULL REFERENCES support_ticket ON DELETE CASCADE,
    user_id        uuid,
    content        text         NOT NULL,
    is_internal    boolean      DEFAULT false,
    is_resolution  boolean      DEFAULT false,
    attachments    text[]       DEFAULT '{}',
    created_at     timestamptz  DEFAULT now(),

    CONSTRAINT ticket_comment_content_not_empty
        CHECK (char_length(content) > 0)
);

COMMENT ON TABLE  ticket_comment             IS
    'A remark on a ticket, by staff (user_id) or by the customer (no user_id).';
COMMENT ON COLUMN ticket_comment.content     IS 'personal data: free text: may name people.';
COMMENT ON COLUMN ticket_comment.attachments IS 'personal data: free text: links to the customer''s files.';


------------------
-- AI workspace --
------------------

CREATE TABLE ai_conversation (
    id                 uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id             uuid         NOT NULL REFERENCES organization ON DELETE CASCADE,
    user_id            uuid         NOT NULL,
    title              text         NOT NULL,
    model              text         NOT NULL,
    total_messages     integer      DEFAULT 0,
    total_tokens_used  integer      DEFAULT 0,
    tags               text[]       DEFAULT '{}',
    is_pinned          boolean      DEFAULT false,
    is_archived        boolean      DEFAULT false,
    created_at         timestamptz  DEFAULT now(),
    updated_at         timestamptz  DEFAULT now(),

    CONSTRAINT ai_conversation_title_length
        CHECK (char_length(title) BETWEEN 1 AND 200),
    CONSTRAINT ai_conversation_total_messages_not_negative
        CHECK (total_messages >= 0),
    CONSTRAINT ai_conversation_total_tokens_not_negative
        CHECK (total_tokens_used >= 0)
);

COMMENT ON TABLE  ai_conversation       IS 'A chat between a user and a model; its totals are kept by trigger.';
COMMENT ON COLUMN ai_conversation.title IS 'personal data: free text: may name people.';

CREATE TABLE ai_message (
    id                uuid             NOT NULL DEFAULT gen_random_uuid(),
    conversation_id   uuid             NOT NULL REFERENCES ai_conversation ON DELETE CASCADE,
    role              ai_message_role  NOT NULL,
    content           text             NOT NULL,
    tokens_used       integer          DEFAULT 0,
    response_time_ms  integer,
    metadata          jsonb            DEFAULT '{}',
    timestamp         timestamptz      NOT NULL DEFAULT now(),

    PRIMARY KEY (id, timestamp),
    CONSTRAINT ai_message_content_not_empty
        CHECK (char_length(content) > 0),
    CONSTRAINT ai_message_tokens_used_not_negative
        CHECK (tokens_used >= 0),
    CONSTRAINT ai_message_response_time_not_negative
        CHECK (response_time_ms IS NULL OR response_time_ms >= 0)
) PARTITION BY RANGE (timestamp);

CREATE TABLE ai_message_2024_q4 PARTITION OF ai_message
    FOR VALUES FROM ('2024-10-01 00:00+00') TO ('2025-01-01 00:00+00');
CREATE TABLE ai_message_2025_q1 PARTITION OF ai_message
    FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2025-04-01 00:00+00');
CREATE TABLE ai_message_2025_q2 PARTITION OF ai_message
    FOR VALUES FROM ('2025-04-01 00:00+00') TO ('2025-07-01 00:00+00');
CREATE TABLE ai_message_2025_q3 PARTITION OF ai_message
    FOR VALUES FROM ('2025-07-01 00:00+00') TO ('2025-10-01 00:00+00');

COMMENT ON TABLE  ai_message          IS
    'One message of a conversation; partitioned by quarter, without a default partition.';
COMMENT ON COLUMN ai_message.content  IS 'personal data: free text: may name people.';
COMMENT ON COLUMN ai_message.metadata IS 'personal data: free text: whatever the application noted.';

CREATE TABLE ai_dataset (
    id               uuid             PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id           uuid             NOT NULL REFERENCES organization ON DELETE CASCADE,
    name             text             NOT NULL,
    description      text,
    data_type        ai_dataset_type  NOT NULL,
    file_url         text,
    file_size_bytes  bigint,
    record_count     integer,
    schema_info      jsonb            DEFAULT '{}',
    tags             text[]           DEFAULT '{}',
    is_public        boolean          DEFAULT false,
    created_by       uuid             NOT NULL,
    created_at       timestamptz      DEFAULT now(),
    updated_at       timestamptz      DEFAULT now(),

    CONSTRAINT ai_dataset_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT ai_dataset_file_url_is_a_url
        CHECK (file_url IS NULL OR file_url ~ '^https?://'),
    CONSTRAINT ai_dataset_file_size_positive
        CHECK (file_size_bytes IS NULL OR file_size_bytes > 0),
    CONSTRAINT ai_dataset_record_count_not_negative
        CHECK (record_count IS NULL OR record_count >= 0)
);

COMMENT ON TABLE  ai_dataset             IS 'Data that an organisation gives to its models.';
COMMENT ON COLUMN ai_dataset.name        IS 'not personal: what the dataset is called.';
COMMENT ON COLUMN ai_dataset.description IS 'not personal: what the dataset is.';

CREATE TABLE ai_prompt_template (
    id             uuid                PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id         uuid                NOT NULL REFERENCES organization ON DELETE CASCADE,
    name           text                NOT NULL,
    description    text,
    template_text  text                NOT NULL,
    category       ai_prompt_category  NOT NULL,
    variables      text[]              DEFAULT '{}',
    usage_count    integer             DEFAULT 0,
    is_public      boolean             DEFAULT false,
    created_by     uuid                NOT NULL,
    created_at     timestamptz         DEFAULT now(),
    updated_at     timestamptz         DEFAULT now(),

    CONSTRAINT ai_prompt_template_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT ai_prompt_template_template_not_empty
        CHECK (char_length(template_text) > 0),
    CONSTRAINT ai_prompt_template_usage_count_not_negative
        CHECK (usage_count >= 0)
);

COMMENT ON TABLE  ai_prompt_template             IS 'A prompt with variables, ready for use.';
COMMENT ON COLUMN ai_prompt_template.name        IS 'not personal: what the template is called.';
COMMENT ON COLUMN ai_prompt_template.description IS 'not personal: what the template is for.';


--------------------------------
-- Integration and automation --
--------------------------------

CREATE TABLE integration_connector (
    id                      uuid                  PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id                  uuid                  NOT NULL REFERENCES organization ON DELETE CASCADE,
    name                    text                  NOT NULL,
    provider                integration_provider  NOT NULL,
    config                  jsonb                 NOT NULL DEFAULT '{}',
    credentials_encrypted   text,
    status                  connector_status      DEFAULT 'configuring',
    last_sync_at            timestamptz,
    sync_frequency_minutes  integer               DEFAULT 60,
    error_message           text,
    retry_count             integer               DEFAULT 0,
    max_retries             integer               DEFAULT 3,
    created_by              uuid                  NOT NULL,
    created_at              timestamptz           DEFAULT now(),
    updated_at              timestamptz           DEFAULT now(),

    CONSTRAINT integration_connector_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT integration_connector_sync_frequency_positive
        CHECK (sync_frequency_minutes > 0),
    CONSTRAINT integration_connector_retry_count_not_negative
        CHECK (retry_count >= 0),
    CONSTRAINT integration_connector_max_retries_positive
        CHECK (max_retries > 0)
);

COMMENT ON TABLE  integration_connector                       IS 'A connection to another system.';
COMMENT ON COLUMN integration_connector.name                  IS 'not personal: what the connection is called.';
COMMENT ON COLUMN integration_connector.credentials_encrypted IS
    'personal data: credential: ciphertext; never copied to audit_log.';
COMMENT ON COLUMN integration_connector.error_message         IS
    'personal data: free text: as the other system said it.';

CREATE TABLE automation_pipeline (
    id                 uuid             PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id             uuid             NOT NULL REFERENCES organization ON DELETE CASCADE,
    name               text             NOT NULL,
    description        text,
    trigger_type       trigger_type     NOT NULL,
    trigger_config     jsonb            NOT NULL DEFAULT '{}',
    action_config      jsonb            NOT NULL DEFAULT '{}',
    status             pipeline_status  DEFAULT 'inactive',
    execution_count    integer          DEFAULT 0,
    last_execution_at  timestamptz,
    next_execution_at  timestamptz,
    error_count        integer          DEFAULT 0,
    created_by         uuid             NOT NULL,
    created_at         timestamptz      DEFAULT now(),
    updated_at         timestamptz      DEFAULT now(),

    CONSTRAINT automation_pipeline_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT automation_pipeline_execution_count_not_negative
        CHECK (execution_count >= 0),
    CONSTRAINT automation_pipeline_error_count_not_negative
        CHECK (error_count >= 0),
    CONSTRAINT automation_pipeline_next_execution_after_last
        CHECK (next_execution_at IS NULL OR last_execution_at IS NULL OR next_execution_at >= last_execution_at)
);

COMMENT ON TABLE  automation_pipeline             IS
    'A trigger and the actions it starts; its counters are kept by trigger.';
COMMENT ON COLUMN automation_pipeline.name        IS 'not personal: what the pipeline is called.';
COMMENT ON COLUMN automation_pipeline.description IS 'not personal: what the pipeline does.';

CREATE TABLE pipeline_execution (
    id                 uuid              NOT NULL DEFAULT gen_random_uuid(),
    pipeline_id        uuid              NOT NULL REFERENCES automation_pipeline ON DELETE CASCADE,
    status             execution_status  DEFAULT 'pending',
    trigger_data       jsonb             DEFAULT '{}',
    execution_data     jsonb             DEFAULT '{}',
    error_message      text,
    records_processed  integer           DEFAULT 0,
    started_at         timestamptz       NOT NULL DEFAULT now(),
    completed_at       timestamptz,
    duration_ms        integer,

    PRIMARY KEY (id, started_at),
    CONSTRAINT pipeline_execution_records_processed_not_negative
        CHECK (records_processed >= 0),
    CONSTRAINT pipeline_execution_completed_after_start
        CHECK (completed_at IS NULL OR completed_at >= started_at),
    CONSTRAINT pipeline_execution_duration_not_negative
        CHECK (duration_ms IS NULL OR duration_ms >= 0)
) PARTITION BY RANGE (started_at);

CREATE TABLE pipeline_execution_2024_q4 PARTITION OF pipeline_execution
    FOR VALUES FROM ('2024-10-01 00:00+00') TO ('2025-01-01 00:00+00');
CREATE TABLE pipeline_execution_2025_q1 PARTITION OF pipeline_execution
    FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2025-04-01 00:00+00');
CREATE TABLE pipeline_execution_2025_q2 PARTITION OF pipeline_execution
    FOR VALUES FROM ('2025-04-01 00:00+00') TO ('2025-07-01 00:00+00');
CREATE TABLE pipeline_execution_2025_q3 PARTITION OF pipeline_execution
    FOR VALUES FROM ('2025-07-01 00:00+00') TO ('2025-10-01 00:00+00');

COMMENT ON TABLE  pipeline_execution                IS
    'One run of a pipeline; partitioned by quarter, without a default partition.';
COMMENT ON COLUMN pipeline_execution.trigger_data   IS 'personal data: free text: may hold the row that started it.';
COMMENT ON COLUMN pipeline_execution.execution_data IS 'personal data: free text: may hold the rows it worked on.';
COMMENT ON COLUMN pipeline_execution.error_message  IS 'personal data: free text: may quote the row it failed on.';

CREATE TABLE data_import (
    id               uuid           PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id           uuid           NOT NULL REFERENCES organization ON DELETE CASCADE,
    connector_id     uuid           REFERENCES integration_connector ON DELETE SET NULL,
    file_name        text           NOT NULL,
    file_size_bytes  bigint,
    file_url         text,
    target_table     text,
    mapping_config   jsonb          DEFAULT '{}',
    record_count     integer        DEFAULT 0,
    processed_count  integer        DEFAULT 0,
    error_count      integer        DEFAULT 0,
    status           import_status  DEFAULT 'pending',
    error_log        jsonb          DEFAULT '[]',
    preview_data     jsonb,
    started_at       timestamptz,
    completed_at     timestamptz,
    created_by       uuid           NOT NULL,
    created_at       timestamptz    DEFAULT now(),
    updated_at       timestamptz    DEFAULT now(),

    CONSTRAINT data_import_file_name_not_empty
        CHECK (char_length(file_name) > 0),
    CONSTRAINT data_import_file_size_positive
        CHECK (file_size_bytes IS NULL OR file_size_bytes > 0),
    CONSTRAINT data_import_file_url_is_a_url
        CHECK (file_url IS NULL OR file_url ~ '^https?://'),
    CONSTRAINT data_import_counts_not_negative
        CHECK (record_count >= 0 AND processed_count >= 0 AND error_count >= 0),
    CONSTRAINT data_import_completed_after_start
        CHECK (completed_at IS NULL OR started_at IS NULL OR completed_at >= started_at)
);

COMMENT ON TABLE  data_import              IS 'A file on its way into a table.';
COMMENT ON COLUMN data_import.error_log    IS 'personal data: free text: the rows that were refused.';
COMMENT ON COLUMN data_import.preview_data IS 'personal data: free text: the file''s first rows.';

CREATE TABLE integration_log (
    id            uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id        uuid         NOT NULL REFERENCES organization ON DELETE CASCADE,
    connector_id  uuid         REFERENCES integration_connector ON DELETE SET NULL,
    pipeline_id   uuid         REFERENCES automation_pipeline ON DELETE SET NULL,
    import_id     uuid         REFERENCES data_import ON DELETE SET NULL,
    level         text         NOT NULL DEFAULT 'info',
    message       text         NOT NULL,
    metadata      jsonb        DEFAULT '{}',
    timestamp     timestamptz  DEFAULT now(),

    CONSTRAINT integration_log_level_is_known
        CHECK (level IN ('debug', 'info', 'warn', 'error', 'fatal')),
    CONSTRAINT integration_log_message_not_empty
        CHECK (char_length(message) > 0)
);

COMMENT ON TABLE  integration_log          IS 'What connectors, pipelines and imports had to say.';
COMMENT ON COLUMN integration_log.message  IS 'personal data: free text: may quote what was sent.';
COMMENT ON COLUMN integration_log.metadata IS 'personal data: free text: may hold what was sent.';


----------------
-- Dashboards --
----------------

CREATE TABLE dashboard (
    id                        uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id                    uuid         NOT NULL REFERENCES organization ON DELETE CASCADE,
    name                      text         NOT NULL,
    description               text,
    layout_config             jsonb        NOT NULL DEFAULT '{}',
    theme_config              jsonb        DEFAULT '{}',
    is_public                 boolean      DEFAULT false,
    is_template               boolean      DEFAULT false,
    template_category         text,
    view_count                integer      DEFAULT 0,
    last_viewed_at            timestamptz,
    refresh_interval_seconds  integer,
    created_by                uuid         NOT NULL,
    created_at                timestamptz  DEFAULT now(),
    updated_at                timestamptz  DEFAULT now(),

    CONSTRAINT dashboard_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT dashboard_view_count_not_negative
        CHECK (view_count >= 0),
    CONSTRAINT dashboard_refresh_interval_positive
        CHECK (refresh_interval_seconds IS NULL OR refresh_interval_seconds > 0)
);

COMMENT ON TABLE  dashboard             IS 'A page of widgets.';
COMMENT ON COLUMN dashboard.name        IS 'not personal: what the page is called.';
COMMENT ON COLUMN dashboard.description IS 'not personal: what the page shows.';

CREATE TABLE widget (
    id                  uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id              uuid         NOT NULL REFERENCES organization ON DELETE CASCADE,
    dashboard_id        uuid         NOT NULL REFERENCES dashboard ON DELETE CASCADE,
    name                text         NOT NULL,
    description         text,
    type                widget_type  NOT NULL,
    config              jsonb        NOT NULL DEFAULT '{}',
    data_source_config  jsonb        DEFAULT '{}',
    position            jsonb        NOT NULL DEFAULT '{"x": 0, "y": 0}',
    size                jsonb        NOT NULL DEFAULT '{"width": 4, "height": 3}',
    is_visible          boolean      DEFAULT true,
    cache_ttl_seconds   integer      DEFAULT 300,
    last_refreshed_at   timestamptz,
    created_at          timestamptz  DEFAULT now(),
    updated_at          timestamptz  DEFAULT now(),

    CONSTRAINT widget_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT widget_cache_ttl_positive
        CHECK (cache_ttl_seconds IS NULL OR cache_ttl_seconds > 0)
);

COMMENT ON TABLE  widget             IS 'One tile of a dashboard.';
COMMENT ON COLUMN widget.name        IS 'not personal: what the tile is called.';
COMMENT ON COLUMN widget.description IS 'not personal: what the tile shows.';

CREATE TABLE widget_data_cache (
    id           uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    widget_id    uuid         NOT NULL REFERENCES widget ON DELETE CASCADE,
    data_hash    text         NOT NULL,
    cached_data  jsonb        NOT NULL,
    expires_at   timestamptz  NOT NULL,
    created_at   timestamptz  DEFAULT now(),

    CONSTRAINT widget_data_cache_expires_after_creation
        CHECK (expires_at > created_at)
);

COMMENT ON TABLE  widget_data_cache             IS 'A widget''s last result, until it expires.';
COMMENT ON COLUMN widget_data_cache.cached_data IS
    'personal data: free text: a copy of what the widget showed, which may be money as well.';

CREATE TABLE dashboard_favorite (
    id            uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id       uuid         NOT NULL,
    dashboard_id  uuid         NOT NULL REFERENCES dashboard ON DELETE CASCADE,
    created_at    timestamptz  DEFAULT now(),

    CONSTRAINT dashboard_favorite_is_unique_per_user
        UNIQUE (user_id, dashboard_id)
);

COMMENT ON TABLE dashboard_favorite IS 'A user''s favourite dashboards.';

CREATE TABLE dashboard_share (
    id            uuid         PRIMARY KEY DEFAULT gen_random_uuid(),
    dashboard_id  uuid         NOT NULL REFERENCES dashboard ON DELETE CASCADE,
    shared_by     uuid         NOT NULL,
    shared_with   uuid,
    share_token   text,
    permissions   jsonb        DEFAULT '{"view": true}',
    expires_at    timestamptz,
    created_at    timestamptz  DEFAULT now(),

    CONSTRAINT dashboard_share_names_a_person_or_a_token
        CHECK (shared_with IS NOT NULL OR share_token IS NOT NULL),
    CONSTRAINT dashboard_share_expires_after_creation
        CHECK (expires_at IS NULL OR expires_at > created_at),
    CONSTRAINT dashboard_share_token_is_unique
        UNIQUE (share_token)
);

COMMENT ON TABLE  dashboard_share             IS 'A dashboard given to a user, or to whoever holds the token.';
COMMENT ON COLUMN dashboard_share.share_token IS 'personal data: credential: whoever holds it sees the dashboard.';


-------------------------------------
-- Monitoring, notification, audit --
-------------------------------------

CREATE TABLE alert_rule (
    id                     uuid               PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id                 uuid               NOT NULL REFERENCES organization ON DELETE CASCADE,
    name                   text               NOT NULL,
    description            text,
    metric_name            text               NOT NULL,
    condition              jsonb              NOT NULL,
    severity               notification_type  DEFAULT 'warning',
    is_active              boolean            DEFAULT true,
    notification_channels  jsonb              DEFAULT '[]',
    cooldown_minutes       integer            DEFAULT 60,
    last_triggered_at      timestamptz,
    created_by             uuid               NOT NULL,
    created_at             timestamptz        DEFAULT now(),
    updated_at             timestamptz        DEFAULT now(),

    CONSTRAINT alert_rule_name_length
        CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT alert_rule_metric_name_not_empty
        CHECK (char_length(metric_name) > 0),
    CONSTRAINT alert_rule_cooldown_positive
        CHECK (cooldown_minutes > 0)
);

COMMENT ON TABLE  alert_rule             IS 'When a metric is worth waking somebody.';
COMMENT ON COLUMN alert_rule.name        IS 'not personal: what the rule is called.';
COMMENT ON COLUMN alert_rule.description IS 'not personal: what the rule is for.';

CREATE TABLE system_metric (
    id            uuid         NOT NULL DEFAULT gen_random_uuid(),
    org_id        uuid         NOT NULL REFERENCES organization ON DELETE CASCADE,
    metric_name   text         NOT NULL,
    metric_type   metric_type  NOT NULL,
    metric_value  numeric      NOT NULL,
    unit          text,
    tags          jsonb        DEFAULT '{}',
    source        text,
    timestamp     timestamptz  NOT NULL DEFAULT now(),

    PRIMARY KEY (id, timestamp),
    CONSTRAINT system_metric_name_not_empty
        CHECK (char_length(metric_name) > 0),
    CONSTRAINT system_metric_value_is_given
        CHECK (metric_value IS NOT NULL)
) PARTITION BY RANGE (timestamp);

CREATE TABLE system_metric_2024_q4 PARTITION OF system_metric
    FOR VALUES FROM ('2024-10-01 00:00+00') TO ('2025-01-01 00:00+00');
CREATE TABLE system_metric_2025_q1 PARTITION OF system_metric
    FOR VALUES FROM ('2025-01-01 00:00+00') TO ('2025-04-01 00:00+00');
CREATE TABLE system_metric_2025_q2 PARTITION OF system_metric
    FOR VALUES FROM ('2025-04-01 00:00+00') TO ('2025-07-01 00:00+00');
CREATE TABLE system_metric_2025_q3 PARTITION OF system_metric
    FOR VALUES FROM ('2025-07-01 00:00+00') TO ('2025-10-01 00:00+00');

COMMENT ON TABLE system_metric IS 'A measured value; partitioned by quarter, without a default partition.';

CREATE TABLE notification (
    id          uuid               PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id      uuid               NOT NULL REFERENCES organization ON DELETE CASCADE,
    user_id     uuid,
    type        notification_type  NOT NULL,
    title       text               NOT NULL,
    message     text               NOT NULL,
    action_url  text,
    metadata    jsonb              DEFAULT '{}',
    read_at     timestamptz,
    expires_at  timestamptz,
    created_at  timestamptz        DEFAULT now(),

    CONSTRAINT notification_title_length
        CHECK (char_length(title) BETWEEN 1 AND 200),
    CONSTRAINT notification_message_not_empty
        CHECK (char_length(message) > 0),
    CONSTRAINT notification_action_url_is_a_path_or_url
        CHECK (action_url IS NULL OR action_url ~ '^(/|https?://)')
);

COMMENT ON TABLE  notification          IS 'A message to one user, or to all of an organisation when user_id is null.';
COMMENT ON COLUMN notification.title    IS 'personal data: free text: may name people.';
COMMENT ON COLUMN notification.message  IS 'personal data: free text: may name people.';
COMMENT ON COLUMN notification.metadata IS
    'personal data: free text: whatever the application noted; may name a ticket as {"ticket_id": …}, guarded by no foreign key.';

CREATE TABLE audit_log (
    id          uuid          PRIMARY KEY DEFAULT gen_random_uuid(),
    org_id      uuid          REFERENCES organization ON DELETE SET NULL,
    user_id     uuid,
    action      audit_action  NOT NULL,
    table_name  text          NOT NULL,
    record_id   uuid,
    old_data    jsonb,
    new_data    jsonb,
    ip_address  inet,
    user_agent  text,
    timestamp   timestamptz   DEFAULT now(),

    CONSTRAINT audit_log_table_name_is_an_identifier
        CHECK (table_name ~ '^[a-z_]+$')
);

COMMENT ON TABLE  audit_log            IS 'Who changed what: written by trigger, read by auditors, the largest table.';
COMMENT ON COLUMN audit_log.record_id  IS
    'The row''s id in table_name, guarded by no foreign key: the row may be gone.';
COMMENT ON COLUMN audit_log.old_data   IS 'personal data: free text: a copy of the row, which may hold money as well.';
COMMENT ON COLUMN audit_log.new_data   IS 'personal data: free text: a copy of the row, which may hold money as well.';
COMMENT ON COLUMN audit_log.ip_address IS 'personal data: location: where the request came from.';
COMMENT ON COLUMN audit_log.user_agent IS 'personal data: behaviour: what the request was made with.';



------------------------------------
-- Foreign keys to the user table --
------------------------------------
-- auth.users with Supabase, auth.users_extended without. What names an approver cannot be set to NULL alone
-- (purchase_order_approval_has_person_and_time), so it holds the user back, as every mandatory creator does.

DO $$
DECLARE
    user_table  regclass := coalesce(to_regclass('auth.users'), to_regclass('auth.users_extended'));
    link        record;
BEGIN
    ASSERT user_table IS NOT NULL, 'neither auth.users nor auth.users_extended: load one of the two 01 files first';

    FOR link IN
        SELECT * FROM (VALUES
            ('profile',               'id',          'CASCADE'),
            ('purchase_order',        'created_by',  'SET NULL'),
            ('purchase_order',        'approved_by', 'NO ACTION'),
            ('customer_interaction',  'user_id',     'SET NULL'),
            ('support_ticket',        'assigned_to', 'SET NULL'),
            ('ticket_comment',        'user_id',     'SET NULL'),
            ('ai_conversation',       'user_id',     'NO ACTION'),
            ('ai_dataset',            'created_by',  'NO ACTION'),
            ('ai_prompt_template',    'created_by',  'NO ACTION'),
            ('integration_connector', 'created_by',  'NO ACTION'),
            ('automation_pipeline',   'created_by',  'NO ACTION'),
            ('data_import',           'created_by',  'NO ACTION'),
            ('dashboard',             'created_by',  'NO ACTION'),
            ('dashboard_favorite',    'user_id',     'CASCADE'),
            ('dashboard_share',       'shared_by',   'NO ACTION'),
            ('dashboard_share',       'shared_with', 'CASCADE'),
            ('alert_rule',            'created_by',  'NO ACTION'),
            ('notification',          'user_id',     'SET NULL'),
            ('audit_log',             'user_id',     'SET NULL')
        ) AS of_user (table_name, column_name, on_delete)
    LOOP
        EXECUTE format(
            'ALTER TABLE %I ADD CONSTRAINT %I FOREIGN KEY (%I) REFERENCES %s ON DELETE %s',
            link.table_name,
            link.table_name || '_' || link.column_name || '_fkey',
            link.column_name,
            user_table,
            link.on_delete
        );
    END LOOP;
END
$$;
