-- variant: policies_by_unknown_setting
-- kind: policies that read a setting whose meaning nobody can guess, beside those of the application
-- expect: passes or refused
-- names: app.branch
-- reason: who reads as a tenant must set what the policies read, and only the owner knows a branch

CREATE POLICY customer_of_own_branch ON customer
    AS RESTRICTIVE
    USING (metadata ->> 'branch' IS NOT DISTINCT FROM NULLIF(current_setting('app.branch', true), ''));
