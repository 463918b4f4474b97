-- Whether the registry or its history has the script.
SELECT EXISTS (SELECT FROM script WHERE script_id = $1)
    OR EXISTS (SELECT FROM registry_change WHERE $1 IN (script_id, old ->> 'script_id'))
