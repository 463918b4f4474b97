-- By how many rows the gate windows become fewer when those of fewer than $3 minutes from before $1 are added up to hours or days ($2), and the size
-- of these rows in bytes.
SELECT coalesce(sum(windows - 1), 0)::bigint AS rows, 150 * coalesce(sum(windows - 1), 0)::bigint AS bytes
FROM (
    SELECT count(*) AS windows
    FROM gate_window
    WHERE window_start < date_trunc($2, $1::timestamptz, 'UTC') AND minutes <= $3
    GROUP BY date_trunc($2, window_start, 'UTC'), site_id, topic, partition, replay
    HAVING bool_or(minutes < $3)
) AS added
