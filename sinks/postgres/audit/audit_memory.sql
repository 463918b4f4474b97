-- Memory for one group per raw event in this transaction: the audit makes one pass, without temporary files.
SELECT set_config('work_mem', '256MB', true)
