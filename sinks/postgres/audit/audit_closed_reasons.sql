-- The number of dropped raw events that closing entries account for, by reason.
SELECT reason, saturated(sum(number::numeric)) AS dropped
FROM removal CROSS JOIN LATERAL jsonb_each_text(reasons) AS by_reason (reason, number)
WHERE dropped > 0
GROUP BY reason
