-- Baseline 02: the enums of MantisNXT before phase 1.
-- requires: nothing
-- The order of labels is the order of comparison: low < medium < high.

CREATE TYPE ai_dataset_type AS ENUM (
    'csv',
    'json',
    'xml',
    'parquet',
    'database',
    'api'
);

CREATE TYPE ai_message_role AS ENUM (
    'user',
    'assistant',
    'system'
);

CREATE TYPE ai_prompt_category AS ENUM (
    'analysis',
    'generation',
    'classification',
    'summarization',
    'translation',
    'custom'
);

CREATE TYPE audit_action AS ENUM (
    'INSERT',
    'UPDATE',
    'DELETE',
    'LOGIN',
    'LOGOUT',
    'API_CALL'
);

CREATE TYPE connector_status AS ENUM (
    'active',
    'inactive',
    'error',
    'configuring',
    'authenticating'
);

CREATE TYPE customer_segment AS ENUM (
    'enterprise',
    'mid_market',
    'smb',
    'startup',
    'individual'
);

CREATE TYPE customer_status AS ENUM (
    'active',
    'inactive',
    'prospect',
    'churned',
    'suspended'
);

CREATE TYPE execution_status AS ENUM (
    'pending',
    'running',
    'completed',
    'failed',
    'cancelled',
    'timeout'
);

CREATE TYPE import_status AS ENUM (
    'pending',
    'processing',
    'completed',
    'failed',
    'cancelled'
);

CREATE TYPE integration_provider AS ENUM (
    'salesforce',
    'hubspot',
    'zendesk',
    'slack',
    'microsoft_teams',
    'shopify',
    'stripe',
    'quickbooks',
    'mailchimp',
    'google_workspace',
    'aws',
    'azure',
    'custom_api',
    'webhook',
    'csv_upload',
    'database'
);

CREATE TYPE interaction_channel AS ENUM (
    'email',
    'phone',
    'chat',
    'social',
    'in_person',
    'api',
    'web'
);

CREATE TYPE interaction_type AS ENUM (
    'inquiry',
    'complaint',
    'compliment',
    'feature_request',
    'bug_report',
    'billing',
    'onboarding',
    'training'
);

CREATE TYPE inventory_category AS ENUM (
    'raw_materials',
    'components',
    'finished_goods',
    'consumables',
    'services',
    'packaging',
    'tools',
    'safety_equipment'
);

CREATE TYPE inventory_event_type AS ENUM (
    'received',
    'shipped',
    'adjusted',
    'returned',
    'damaged',
    'expired',
    'reserved',
    'unreserved'
);

CREATE TYPE metric_type AS ENUM (
    'counter',
    'gauge',
    'histogram',
    'summary'
);

CREATE TYPE notification_type AS ENUM (
    'info',
    'success',
    'warning',
    'error',
    'system',
    'alert',
    'reminder'
);

CREATE TYPE organization_plan AS ENUM (
    'starter',
    'professional',
    'enterprise'
);

CREATE TYPE pipeline_status AS ENUM (
    'active',
    'inactive',
    'error',
    'paused'
);

CREATE TYPE po_status AS ENUM (
    'draft',
    'pending_approval',
    'approved',
    'sent',
    'acknowledged',
    'partially_received',
    'completed',
    'cancelled',
    'on_hold'
);

CREATE TYPE sentiment_score AS ENUM (
    'very_negative',
    'negative',
    'neutral',
    'positive',
    'very_positive'
);

CREATE TYPE supplier_status AS ENUM (
    'active',
    'inactive',
    'suspended',
    'pending_approval',
    'blocked',
    'under_review'
);

CREATE TYPE ticket_priority AS ENUM (
    'low',
    'medium',
    'high',
    'urgent',
    'critical'
);

CREATE TYPE ticket_status AS ENUM (
    'open',
    'in_progress',
    'pending_customer',
    'resolved',
    'closed',
    'escalated'
);

CREATE TYPE trigger_type AS ENUM (
    'manual',
    'schedule',
    'webhook',
    'file_upload',
    'data_change',
    'api_call'
);

CREATE TYPE user_role AS ENUM (
    'admin',
    'ops_manager',
    'ai_team',
    'cs_agent',
    'exec',
    'integrations'
);

CREATE TYPE widget_type AS ENUM (
    'kpi_card',
    'chart_line',
    'chart_bar',
    'chart_pie',
    'chart_area',
    'table',
    'list',
    'gauge',
    'heatmap',
    'timeline',
    'text',
    'iframe',
    'ai_insight'
);
