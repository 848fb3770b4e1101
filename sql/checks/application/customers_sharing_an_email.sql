-- check: customers_sharing_an_email
-- title: Customers of one organisation with the same e-mail address
-- severity: warn
-- phases: 0,2
-- expected: an address once in an organisation, upper and lower case alike
-- action: have the organisation merge them before phase 2: contacts and leads of 02_crm_sales.ipynb hang on one customer, not on two
-- reads: customer once
WITH shared AS (
    SELECT org_id, count(*) AS customers, count(*) > count(DISTINCT email) AS by_letter
    FROM customer
    WHERE email IS NOT NULL
    GROUP BY org_id, lower(email)
    HAVING count(*) > 1
)
SELECT
    format('customers of organisation %s', org_id) AS object,
    count(*) AS found,
    format(
        '%s address(es) shared by %s customers, %s of them letter for letter',
        count(*), sum(customers), count(*) FILTER (WHERE by_letter)
    ) AS detail
FROM shared
GROUP BY org_id
ORDER BY org_id
