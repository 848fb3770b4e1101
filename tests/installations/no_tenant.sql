-- variant: no_tenant
-- kind: an installation that nobody has used yet: no tenant, no row
-- shape: empty
-- expect: passes

SELECT 'nothing is added';
