-- The brake on dead-lettering of each consumer group, as all its workers see it.
CREATE TABLE brake (
    group_id text PRIMARY KEY,
    engaged boolean NOT NULL,
    by_hand boolean NOT NULL DEFAULT false,
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by text NOT NULL,
    reason text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    probed_at timestamptz,
    released_until timestamptz,
    CHECK (NOT (engaged AND released_until IS NOT NULL))
);
