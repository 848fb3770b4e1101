-- variant: least_privilege
-- kind: a migrating role that owns the application's objects and is no superuser, as sql/roles/ makes it; backups proven beside
-- role: mantis_migrator
-- expect: passes

SELECT 'nothing is added';
