-- variant: sql_ascii
-- kind: a database in SQL_ASCII: the server does not know what its bytes mean
-- shape: empty
-- encoding: SQL_ASCII
-- expect: refused
-- names: SQL_ASCII
-- reason: text cannot be compared, hashed or shown where nobody knows its encoding

INSERT INTO organization (name, slug) VALUES ('Plain Ltd', 'plain');
