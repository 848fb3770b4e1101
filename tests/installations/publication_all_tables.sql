-- variant: publication_all_tables
-- kind: a publication FOR ALL TABLES: what we make would join it, and a subscriber stop
-- expect: passes or refused
-- names: publication
-- reason: a subscriber stops at the first table that it lacks; the owner must make the tables there, or take ours out

CREATE PUBLICATION everything FOR ALL TABLES;
