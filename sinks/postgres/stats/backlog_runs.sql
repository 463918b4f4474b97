-- Runs of the jobs $1 by script and result: the number that ended within the last hour, and the end of the last one.
-- Only the names in $1 are read, since any account may write other names and exit codes, each of which would be a new
-- series. Runs whose starter's name begins with $2 were requested over the API, and are left out: callers of the API
-- must not be able to cause an alert that pages.
SELECT script, CASE WHEN exit_code IN (0, 2, 3) THEN exit_code ELSE 1 END AS exit_code,
       count(*) FILTER (WHERE ended_at > now() - interval '1 hour') AS recent, extract(epoch FROM max(ended_at))::float8 AS last_ended
FROM script_run
WHERE ended_at IS NOT NULL AND script = ANY ($1::text[]) AND NOT starts_with(started_by, $2::text)
GROUP BY 1, 2
