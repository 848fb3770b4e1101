-- step: the view has every reader with a loan once
SELECT reader_id FROM reader_debt GROUP BY reader_id HAVING count(*) > 1;

-- step: debts are what the fines say
SELECT
FROM (SELECT sum(cents) AS cents FROM reader_debt) AS debts
CROSS JOIN (SELECT sum(fine_cents) AS cents FROM loan) AS fines
WHERE debts.cents IS DISTINCT FROM fines.cents;
