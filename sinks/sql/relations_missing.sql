-- Which of the relations of these names are not there.
SELECT relation FROM unnest($1::text[]) AS n (relation) WHERE to_regclass(relation) IS NULL
