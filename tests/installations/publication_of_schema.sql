-- variant: publication_of_schema
-- kind: a publication FOR TABLES IN SCHEMA public
-- expect: passes or refused
-- names: publication
-- reason: a subscriber stops at the first table that it lacks

CREATE PUBLICATION of_public FOR TABLES IN SCHEMA public;
