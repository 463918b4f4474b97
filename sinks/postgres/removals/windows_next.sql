-- The begin of the first hour or day ($3) from $1 on that ends at $2 at the latest and has windows of fewer than $4 minutes; null without any.
SELECT date_trunc($3, min(window_start), 'UTC')
FROM gate_window
WHERE window_start >= $1 AND window_start < date_trunc($3, $2::timestamptz, 'UTC') AND minutes < $4
