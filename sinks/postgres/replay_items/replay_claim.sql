-- Changes the disposition of dead letters to claimed by the replay $1: from open, or from replayed if the replay is
-- forced. The rows are locked and were checked. $5 are the digests of the records that will be sent. The plans that
-- replayed them before keep their results.
SELECT claim_dead_letters($1, $2, $3, $4, $5)
