-- check: organizations_without_currency
-- title: Organisations whose settings name no currency
-- severity: warn
-- phases: 0,3
-- expected: settings hold {"currency": …} for every organisation
-- action: name the currency in organization.settings before phase 3; 03_financial_management.ipynb takes USD where none is named (an empty text is not that: it is an unknown currency, and undecided)
-- reads: organization once
SELECT
    format('organisation %s', id) AS object,
    1::bigint AS found,
    CASE
        WHEN settings IS NULL THEN 'no settings at all'
        WHEN settings ? 'currency' THEN 'currency is there and null'
        ELSE 'no currency in the settings'
    END AS detail
FROM organization
WHERE settings ->> 'currency' IS NULL
ORDER BY id
