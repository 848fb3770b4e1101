-- variant: extended_forced
-- kind: auth.users_extended in place of auth.users, and FORCE ROW LEVEL SECURITY on every table
-- shape: extended, forced
-- expect: passes

SELECT 'nothing is added';
