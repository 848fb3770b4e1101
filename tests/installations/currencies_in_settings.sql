-- variant: currencies_in_settings
-- kind: organisations whose settings name a currency that the schema lacks, and a misspelt one; the owner decides what each stands for
-- given: currency_map=EURO=EUR;currency_add=ZAR
-- expect: passes

UPDATE organization SET settings = '{"currency": "ZAR"}' WHERE id = (SELECT min(id::text)::uuid FROM organization);
UPDATE organization SET settings = '{"currency": "EURO"}' WHERE id = (SELECT max(id::text)::uuid FROM organization);
