-- variant: as_the_baseline
-- kind: the baseline itself, with Supabase's schema auth
-- expect: passes
-- gate: on

SELECT 'nothing is added';
