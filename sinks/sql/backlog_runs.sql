-- Runs by script and exit code: those that ended within the last hour, and when the last of them ended at all.
SELECT script, exit_code, count(*) FILTER (WHERE ended_at > now() - interval '1 hour') AS recent,
       extract(epoch FROM max(ended_at))::float8 AS last_ended
FROM script_run
WHERE ended_at IS NOT NULL
GROUP BY script, exit_code
