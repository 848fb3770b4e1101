-- variant: currencies_in_settings
-- kind: organisations whose settings name a currency that the schema lacks, a misspelt one, and no object at all
-- expect: refused
-- names: currenc
-- reason: no amount may get a currency by guess: the owner must say what each code stands for

UPDATE organization SET settings = '{"currency": "ZAR"}' WHERE id = (SELECT min(id::text)::uuid FROM organization);
UPDATE organization SET settings = '{"currency": "EURO"}' WHERE id = (SELECT max(id::text)::uuid FROM organization);
