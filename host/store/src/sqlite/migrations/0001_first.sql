-- The first version of the store. Times are Unix milliseconds; ids of people's
-- concern are short texts; documents are JSON.

CREATE TABLE datasets (
    digest   TEXT PRIMARY KEY,
    path     TEXT NOT NULL,
    rows     INTEGER NOT NULL,
    bytes    INTEGER NOT NULL,
    added_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE plans (
    digest   TEXT PRIMARY KEY,
    document TEXT NOT NULL,
    added_ms INTEGER NOT NULL
) STRICT;

-- Processes that own jobs. One heartbeat serves all the jobs of a process.
CREATE TABLE owners (
    token    TEXT PRIMARY KEY,
    pid      INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    beat_ms  INTEGER NOT NULL
) STRICT;

CREATE TABLE jobs (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    name        TEXT NOT NULL,
    provider    TEXT NOT NULL,
    service     TEXT NOT NULL,
    method      TEXT NOT NULL,
    base_model  TEXT NOT NULL,
    emulated    INTEGER NOT NULL CHECK (emulated IN (0, 1)),
    spec        TEXT NOT NULL,
    dataset     TEXT NOT NULL REFERENCES datasets (digest),
    plan        TEXT NOT NULL REFERENCES plans (digest),
    measured    TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('planned', 'uploading', 'creating', 'unknown', 'submitted',
                    'running', 'paused', 'verifying', 'succeeded', 'failed', 'cancelled')),
    reason      TEXT,
    attempt     INTEGER NOT NULL,
    step        INTEGER,
    total_steps INTEGER,
    last_event  INTEGER NOT NULL,
    synced      INTEGER NOT NULL,
    -- Who may write, and the token of this very claim, which fences out everyone else.
    owner       TEXT REFERENCES owners (token),
    claim       TEXT,
    created_ms  INTEGER NOT NULL,
    changed_ms  INTEGER NOT NULL,
    CHECK ((owner IS NULL) = (claim IS NULL))
) STRICT;
CREATE INDEX jobs_by_state ON jobs (state, number);
CREATE INDEX jobs_by_owner ON jobs (owner) WHERE owner IS NOT NULL;
CREATE INDEX jobs_by_plan ON jobs (plan);
CREATE INDEX jobs_by_dataset ON jobs (dataset);

CREATE TABLE attempts (
    job        TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number     INTEGER NOT NULL,
    run_id     TEXT NOT NULL UNIQUE,
    remote_id  TEXT,
    started_ms INTEGER NOT NULL,
    ended_ms   INTEGER,
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;

-- What is about to be done to the world, stored before it is done.
CREATE TABLE intents (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    job          TEXT NOT NULL,
    attempt      INTEGER NOT NULL,
    operation    TEXT NOT NULL,
    request_hash TEXT NOT NULL,
    opened_ms    INTEGER NOT NULL,
    note         TEXT,
    result       TEXT CHECK (result IN ('done', 'refused', 'absent', 'abandoned')),
    remote_id    TEXT,
    detail       TEXT,
    settled_ms   INTEGER,
    FOREIGN KEY (job, attempt) REFERENCES attempts (job, number) ON DELETE CASCADE
) STRICT;
CREATE INDEX intents_by_job ON intents (job, attempt);
-- At most one open intent of each operation in an attempt: never two creates in flight.
CREATE UNIQUE INDEX intents_open ON intents (job, attempt, operation) WHERE result IS NULL;

CREATE TABLE requests (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    job         TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    kind        TEXT NOT NULL CHECK (kind IN ('cancel', 'pause', 'resume')),
    asked_ms    INTEGER NOT NULL,
    answer      TEXT CHECK (answer IN ('done', 'refused', 'moot')),
    detail      TEXT,
    answered_ms INTEGER
) STRICT;
CREATE UNIQUE INDEX requests_open ON requests (job, kind) WHERE answer IS NULL;
CREATE INDEX requests_by_job ON requests (job);

CREATE TABLE events (
    job         TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    seq         INTEGER NOT NULL,
    at_ms       INTEGER NOT NULL,
    recorded_ms INTEGER NOT NULL,
    kind        TEXT NOT NULL,
    level       TEXT NOT NULL,
    from_state  TEXT,
    to_state    TEXT,
    message     TEXT NOT NULL,
    data        TEXT,
    remote_id   TEXT,
    PRIMARY KEY (job, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX events_by_remote_id ON events (job, remote_id) WHERE remote_id IS NOT NULL;

CREATE TABLE metrics (
    job     TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL,
    step    INTEGER NOT NULL,
    figures TEXT NOT NULL,
    PRIMARY KEY (job, attempt, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoints (
    job       TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    attempt   INTEGER NOT NULL,
    remote_id TEXT NOT NULL,
    step      INTEGER NOT NULL,
    model     TEXT NOT NULL,
    figures   TEXT NOT NULL,
    made_ms   INTEGER NOT NULL,
    PRIMARY KEY (job, remote_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE artifacts (
    job     TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    name    TEXT NOT NULL,
    path    TEXT NOT NULL,
    sha256  TEXT NOT NULL,
    bytes   INTEGER NOT NULL,
    made_ms INTEGER NOT NULL,
    PRIMARY KEY (job, name)
) STRICT, WITHOUT ROWID;

-- Models outlive the jobs that made them, so `job` is no foreign key.
CREATE TABLE models (
    number        INTEGER PRIMARY KEY AUTOINCREMENT,
    name          TEXT NOT NULL,
    provider      TEXT NOT NULL,
    service       TEXT NOT NULL,
    job           TEXT NOT NULL,
    job_name      TEXT NOT NULL,
    attempt       INTEGER NOT NULL,
    method        TEXT NOT NULL,
    base_model    TEXT NOT NULL,
    made          TEXT NOT NULL,
    digest        TEXT,
    emulated      INTEGER NOT NULL CHECK (emulated IN (0, 1)),
    made_ms       INTEGER NOT NULL,
    verified_ms   INTEGER,
    superseded_ms INTEGER,
    removed_ms    INTEGER,
    UNIQUE (job, attempt, name)
) STRICT;
CREATE INDEX models_by_name ON models (provider, service, name);

-- Uploaded files outlive jobs too, so that what was uploaded can be found and removed.
CREATE TABLE files (
    number     INTEGER PRIMARY KEY AUTOINCREMENT,
    service    TEXT NOT NULL,
    remote_id  TEXT NOT NULL,
    file_name  TEXT NOT NULL,
    purpose    TEXT NOT NULL,
    sha256     TEXT NOT NULL,
    bytes      INTEGER NOT NULL,
    job        TEXT NOT NULL,
    emulated   INTEGER NOT NULL CHECK (emulated IN (0, 1)),
    added_ms   INTEGER NOT NULL,
    expires_ms INTEGER,
    removed_ms INTEGER,
    UNIQUE (service, emulated, remote_id)
) STRICT;
CREATE INDEX files_by_content ON files (service, sha256, bytes);

CREATE TABLE plugin_history (
    seq     INTEGER PRIMARY KEY AUTOINCREMENT,
    at_ms   INTEGER NOT NULL,
    plugin  TEXT NOT NULL,
    version TEXT,
    sha256  TEXT,
    file    TEXT,
    action  TEXT NOT NULL,
    message TEXT NOT NULL,
    -- Of the process that it happened in, which numbers its generations itself.
    generation INTEGER,
    tier       TEXT,
    directory  TEXT,
    pid        INTEGER NOT NULL,
    owner      TEXT NOT NULL
) STRICT;
CREATE INDEX plugin_history_by_plugin ON plugin_history (plugin, seq);
