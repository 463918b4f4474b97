-- Sets the memory of this transaction so that one group for each raw event fits: the audit then makes one pass, without
-- temporary files.
SELECT set_config('work_mem', '256MB', true)
