-- open -> claimed by the replay $1, or from replayed where it was forced; the rows are locked and were checked. $5 are
-- the digests of the records that will be sent. The plans that replayed them keep the earlier results.
SELECT claim_dead_letters($1, $2, $3, $4, $5)
