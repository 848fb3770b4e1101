-- variant: least_privilege_forced
-- kind: the same on the other installation, with FORCE ROW LEVEL SECURITY; backups proven on another server, by the same role
-- shape: extended, forced
-- role: mantis_migrator
-- scratch: elsewhere
-- expect: passes

SELECT 'nothing is added';
