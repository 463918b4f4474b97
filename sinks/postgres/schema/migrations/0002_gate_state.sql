-- The live verdict of each target, `total` or `site:<id>`, and whether its last change was published.
CREATE TABLE gate_state (
    target text PRIMARY KEY,
    passed boolean NOT NULL,
    change_id uuid NOT NULL DEFAULT gen_random_uuid(),
    changed_at timestamptz NOT NULL DEFAULT now(),
    change jsonb NOT NULL,
    published boolean NOT NULL DEFAULT false
);
