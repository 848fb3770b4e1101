-- Migration 008: Analytics
-- phase: 4
-- requires: 001, 002, 003
--
-- What it is: the way back. Views and materialized views go; they hold nothing that is not in the tables they read.
--
-- What it locks: ACCESS EXCLUSIVE on the views alone, while nobody reads them; on the tables nothing.
--
-- What an operator must know: it runs from every state of a migration that was cut off; nothing is dropped with CASCADE, so
-- that somebody's view on one of these makes it stop and say so.

-- step: analytics brought up to date
DROP FUNCTION IF EXISTS refresh_analytics();

-- step: analytics of a tenant
DROP VIEW IF EXISTS customer_analytics_of_tenant;
DROP VIEW IF EXISTS sales_performance_of_tenant;
DROP VIEW IF EXISTS financial_overview_of_tenant;
DROP VIEW IF EXISTS inventory_performance_of_tenant;

-- step: inventory performance
DROP MATERIALIZED VIEW IF EXISTS inventory_performance;

-- step: financial overview
DROP MATERIALIZED VIEW IF EXISTS financial_overview;

-- step: sales performance
DROP MATERIALIZED VIEW IF EXISTS sales_performance;

-- step: customer analytics
DROP MATERIALIZED VIEW IF EXISTS customer_analytics;
