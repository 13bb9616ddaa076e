-- Hashes are 32 bytes: SHA-256.

-- Where each org's audit chain ends. The org of zeros is the installation, which may have no row in `org`.
CREATE TABLE audit_head (
    org BLOB NOT NULL PRIMARY KEY CHECK (length(org) = 16),
    size INTEGER NOT NULL CHECK (0 < size),
    hash BLOB NOT NULL CHECK (length(hash) = 32)
) STRICT, WITHOUT ROWID;

-- `body` is what is hashed; the columns after it are copies from it, to look for. There is one
-- writer at a time, so that rows appear in the order of `position`.
CREATE TABLE audit (
    position INTEGER PRIMARY KEY,
    org BLOB NOT NULL CHECK (length(org) = 16),
    seq INTEGER NOT NULL CHECK (0 < seq),
    prev BLOB NOT NULL CHECK (length(prev) = 32),
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    body TEXT NOT NULL,
    at INTEGER NOT NULL,
    action TEXT NOT NULL,
    actor TEXT NOT NULL,
    target TEXT,
    project TEXT,
    UNIQUE (org, seq)
) STRICT;
CREATE INDEX audit_by_time ON audit (org, at);
CREATE INDEX audit_by_actor ON audit (org, actor);
CREATE INDEX audit_by_target ON audit (org, target);
CREATE INDEX audit_by_project ON audit (org, project) WHERE project IS NOT NULL;

CREATE TRIGGER audit_stays BEFORE UPDATE ON audit
BEGIN
    SELECT raise(ABORT, 'the audit log is only added to');
END;

CREATE TRIGGER audit_is_kept BEFORE DELETE ON audit
BEGIN
    SELECT raise(ABORT, 'the audit log is only added to');
END;

-- `INSERT OR REPLACE` removes rows without asking the trigger above.
CREATE TRIGGER audit_goes_on BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE position = NEW.position)
    OR EXISTS (SELECT 1 FROM audit WHERE org = NEW.org AND NEW.seq <= seq)
BEGIN
    SELECT raise(ABORT, 'the audit log is only added to');
END;

-- How far a sink outside has come.
CREATE TABLE audit_sink (
    sink TEXT NOT NULL PRIMARY KEY,
    position INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session (
    sha256 BLOB NOT NULL PRIMARY KEY CHECK (length(sha256) = 32),
    org BLOB NOT NULL CHECK (length(org) = 16),
    user BLOB NOT NULL CHECK (length(user) = 16),
    created INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    address TEXT,
    how TEXT NOT NULL,
    id_token_hint TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX session_by_user ON session (org, user);
CREATE INDEX session_by_end ON session (expires);

CREATE TABLE ticket (
    kind TEXT NOT NULL,
    sha256 BLOB NOT NULL CHECK (length(sha256) = 32),
    org BLOB NOT NULL CHECK (length(org) = 16),
    body TEXT NOT NULL,
    expires INTEGER NOT NULL,
    PRIMARY KEY (kind, sha256)
) STRICT, WITHOUT ROWID;
CREATE INDEX ticket_by_end ON ticket (expires);

-- Ciphertext: `master` names the key that opens it, which is not here.
CREATE TABLE data_key (
    org BLOB NOT NULL CHECK (length(org) = 16),
    version INTEGER NOT NULL,
    master TEXT NOT NULL,
    blob BLOB NOT NULL,
    created INTEGER NOT NULL,
    PRIMARY KEY (org, version)
) STRICT, WITHOUT ROWID;

-- A claim has no status until it is answered.
CREATE TABLE idempotency (
    org BLOB NOT NULL CHECK (length(org) = 16),
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    body_hash BLOB NOT NULL CHECK (length(body_hash) = 32),
    claimed INTEGER NOT NULL,
    status INTEGER,
    headers TEXT,
    answer BLOB,
    PRIMARY KEY (org, scope, key),
    CHECK ((status IS NULL) = (headers IS NULL) AND (status IS NULL) = (answer IS NULL))
) STRICT;
CREATE INDEX idempotency_by_claim ON idempotency (claimed);

CREATE TABLE last_use (
    org BLOB NOT NULL CHECK (length(org) = 16),
    key BLOB NOT NULL CHECK (length(key) = 16),
    used INTEGER NOT NULL,
    PRIMARY KEY (org, key)
) STRICT, WITHOUT ROWID;
