-- Room for one group per raw event in this transaction: the audit makes one pass, without files on disk.
SELECT set_config('work_mem', '256MB', true)
