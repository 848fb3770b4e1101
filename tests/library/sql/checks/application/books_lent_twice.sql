-- check: books_lent_twice
-- title: Books that are lent to two readers at once
-- severity: warn
-- phases: all
-- expected: at most one open loan a book
-- action: ask at the counter which of the loans was returned, and enter the date
-- reads: loan
SELECT format('book %s', book_id) AS object, count(*) AS found, 'open loans of one book' AS detail
FROM loan
WHERE returned_on IS NULL
GROUP BY book_id
HAVING count(*) > 1
ORDER BY book_id
