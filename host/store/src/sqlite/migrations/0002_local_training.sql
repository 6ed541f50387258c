-- Training in this process: a job that no service carries out, and checkpoints that are
-- files. A change of state says its reason as a field.

ALTER TABLE jobs ADD COLUMN remote INTEGER NOT NULL DEFAULT 1 CHECK (remote IN (0, 1));

-- A checkpoint is at the service, with an id and a model's name, or a file.
ALTER TABLE checkpoints RENAME TO checkpoints_before;
CREATE TABLE checkpoints (
    number    INTEGER PRIMARY KEY,
    job       TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt   INTEGER NOT NULL,
    remote_id TEXT,
    model     TEXT,
    path      TEXT,
    step      INTEGER NOT NULL,
    figures   TEXT NOT NULL,
    made_ms   INTEGER NOT NULL,
    CHECK ((remote_id IS NULL) = (model IS NULL)),
    CHECK ((remote_id IS NULL) <> (path IS NULL)),
    UNIQUE (job, remote_id),
    UNIQUE (job, path)
) STRICT;
INSERT INTO checkpoints (job, attempt, remote_id, model, step, figures, made_ms)
    SELECT job, attempt, remote_id, model, step, figures, made_ms FROM checkpoints_before
    ORDER BY job, attempt, step, remote_id;
DROP TABLE checkpoints_before;

-- The fields of an event's kind are in its data, whatever they are. Until now the reason
-- was in the message alone, behind the state.
UPDATE events SET data = json_object('from', from_state, 'to', to_state, 'reason',
        CASE WHEN substr(message, 1, length(to_state) + 2) = to_state || ': '
             THEN substr(message, length(to_state) + 3) END)
    WHERE kind = 'state';
ALTER TABLE events DROP COLUMN from_state;
ALTER TABLE events DROP COLUMN to_state;
