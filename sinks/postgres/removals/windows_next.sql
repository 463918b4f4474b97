-- The begin of the first hour or day ($3) from $1 on that ends at $2 at the latest and has windows of fewer than $4 minutes, and the last of the sites
-- that one batch adds up: those with at most $5 such windows in the order of sites, but at least one site. No row without any.
WITH period AS (
    SELECT date_trunc($3, min(window_start), 'UTC') AS start
    FROM gate_window
    WHERE window_start >= $1 AND window_start < date_trunc($3, $2::timestamptz, 'UTC') AND minutes < $4
), by_site AS (
    SELECT p.start, w.site_id, sum(count(*)) OVER sites AS windows, row_number() OVER sites AS number
    FROM period AS p
    JOIN gate_window AS w ON w.window_start >= p.start AND w.window_start < p.start + make_interval(mins => $4) AND w.minutes < $4
    GROUP BY p.start, w.site_id
    WINDOW sites AS (ORDER BY w.site_id)
)
SELECT start, max(site_id) AS last_site FROM by_site WHERE number = 1 OR windows <= $5 GROUP BY start
