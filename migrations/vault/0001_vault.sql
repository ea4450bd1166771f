-- The client's vault. All of it is encrypted by SQLCipher, page by page.
--
-- Ids of rooms, messages and devices are byte strings, accounts their root key; handles and server DIDs
-- are text. States are the numbers of the enums in client/core. Times are milliseconds since the Unix
-- epoch.

-- This device and its account. One row.
CREATE TABLE own (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    handle        TEXT    NOT NULL,
    root          BLOB    NOT NULL,
    device        BLOB    NOT NULL,
    signing_seed  BLOB    NOT NULL,
    hpke_secret   BLOB    NOT NULL,
    claim         BLOB    NOT NULL,
    chain         BLOB    NOT NULL,
    registered    INTEGER NOT NULL,
    host_table    TEXT,
    extra_ca      TEXT,
    queue_cursor  INTEGER NOT NULL DEFAULT 0,
    seen_event    INTEGER NOT NULL DEFAULT 0,
    created       INTEGER NOT NULL
);

-- A server whose document was fetched once; its keys count from then on.
CREATE TABLE server_pin (
    server         TEXT PRIMARY KEY,
    keys           BLOB    NOT NULL,
    first_key_hash BLOB    NOT NULL,
    host           TEXT    NOT NULL,
    port           INTEGER NOT NULL,
    alpn           TEXT    NOT NULL,
    fetched        INTEGER NOT NULL
) WITHOUT ROWID;

-- An account that was met, in a room or by its handle.
CREATE TABLE account (
    id           INTEGER PRIMARY KEY,
    root         BLOB    NOT NULL UNIQUE,
    handle       TEXT    NOT NULL,
    list_version INTEGER NOT NULL,
    list_hash    BLOB
);

-- A handle that was resolved over HTTPS, and the account that it named.
CREATE TABLE handle_pin (
    handle  TEXT PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES account (id),
    claim   BLOB    NOT NULL,
    fetched INTEGER NOT NULL
) WITHOUT ROWID;

-- Private halves of KeyPackages, as the groups crate stores them.
CREATE TABLE key_store (
    key   BLOB PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;

-- What was made, so that what has ended can be dropped.
CREATE TABLE key_package (
    reference   BLOB PRIMARY KEY,
    suite       INTEGER NOT NULL,
    last_resort INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    package     BLOB    -- until it is published
) WITHOUT ROWID;

-- A room. `version` counts the changes of its rows in mls_state, for caches of several processes.
CREATE TABLE room (
    id          INTEGER PRIMARY KEY,
    room        BLOB    NOT NULL UNIQUE,
    hub         TEXT    NOT NULL,
    suite       INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    name        TEXT    NOT NULL,
    topic       TEXT    NOT NULL,
    renamed     INTEGER NOT NULL,
    policy      BLOB    NOT NULL,
    version     INTEGER NOT NULL,
    epoch       INTEGER NOT NULL,
    first_epoch INTEGER NOT NULL,
    head_term   INTEGER,
    head_seq    INTEGER,
    head_hash   BLOB,
    proposals   INTEGER NOT NULL,
    delivered   INTEGER NOT NULL,
    read_seq    INTEGER NOT NULL
);

CREATE TABLE roster (
    room    INTEGER NOT NULL REFERENCES room (id),
    leaf    INTEGER NOT NULL,
    account INTEGER NOT NULL REFERENCES account (id),
    device  BLOB    NOT NULL,
    leaving INTEGER NOT NULL,
    PRIMARY KEY (room, leaf)
) WITHOUT ROWID;

-- MLS state of rooms, as the groups crate stores it. Small rows, few of them written per message.
CREATE TABLE mls_state (
    room  INTEGER NOT NULL REFERENCES room (id),
    key   BLOB    NOT NULL,
    value BLOB    NOT NULL,
    PRIMARY KEY (room, key)
) WITHOUT ROWID;

-- What reads late messages of the last epochs; written once per commit.
CREATE TABLE epoch_snapshot (
    room     INTEGER NOT NULL REFERENCES room (id),
    epoch    INTEGER NOT NULL,
    snapshot BLOB    NOT NULL,
    PRIMARY KEY (room, epoch)
);

-- Hashes of the latest entries, to compare with what other members say that they saw.
CREATE TABLE entry_hash (
    room INTEGER NOT NULL REFERENCES room (id),
    seq  INTEGER NOT NULL,
    hash BLOB    NOT NULL,
    PRIMARY KEY (room, seq)
) WITHOUT ROWID;

-- Messages, never deleted. `seq` is missing until the hub has ordered an own one.
CREATE TABLE message (
    id         INTEGER PRIMARY KEY,
    room       INTEGER NOT NULL REFERENCES room (id),
    seq        INTEGER,
    term       INTEGER,
    sender     INTEGER NOT NULL REFERENCES account (id),
    message_id BLOB    NOT NULL,
    own        INTEGER NOT NULL,
    state      INTEGER NOT NULL,
    fault      INTEGER NOT NULL,
    time       INTEGER NOT NULL,
    content    BLOB    NOT NULL
);
CREATE UNIQUE INDEX message_by_id ON message (room, sender, message_id);
CREATE INDEX message_by_seq ON message (room, seq);

-- Own messages that have not come back in the log. A new id puts one at the end of what is to be
-- handed over. `held`: 0 no, 1 until the epoch is over, 2 until `not_before`, 3 ordered by the server's
-- word and waiting for its entry.
CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    message    INTEGER NOT NULL UNIQUE REFERENCES message (id),
    room       INTEGER NOT NULL REFERENCES room (id),
    epoch      INTEGER,
    ciphertext BLOB,
    hashes     BLOB    NOT NULL,
    held       INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    failures   INTEGER NOT NULL
);

-- What is wanted in a room through its hub. `call` is what was sent, to be repeated as it is.
CREATE TABLE goal (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    room       INTEGER NOT NULL REFERENCES room (id),
    state      INTEGER NOT NULL,
    goal       BLOB    NOT NULL,
    message_id BLOB,
    epoch      INTEGER,
    call       BLOB,
    remade     INTEGER NOT NULL,
    failures   INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    fault      INTEGER NOT NULL,
    detail     TEXT    NOT NULL,
    changed    INTEGER NOT NULL
);
CREATE INDEX goal_open ON goal (state, room) WHERE state < 3;

-- Welcomes whose tree has not been fetched yet.
CREATE TABLE welcome (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    room       BLOB    NOT NULL,
    item       BLOB    NOT NULL,
    failures   INTEGER NOT NULL,
    not_before INTEGER NOT NULL
);

-- Invitations that this account has received. `state`: 0 open, 1 accepted, 2 declined.
CREATE TABLE invite (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    inviter    INTEGER NOT NULL REFERENCES account (id),
    message_id BLOB    NOT NULL,
    room       BLOB    NOT NULL,
    payload    BLOB    NOT NULL,
    received   INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    state      INTEGER NOT NULL,
    UNIQUE (inviter, message_id)
);

-- Invitations on their way to the own homeserver. `state`: 0 to be sent, 1 sent, 2 refused.
CREATE TABLE sent_invite (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id BLOB    NOT NULL UNIQUE,
    root       BLOB    NOT NULL,
    home       TEXT    NOT NULL,
    sealed     BLOB    NOT NULL,
    state      INTEGER NOT NULL,
    failures   INTEGER NOT NULL,
    not_before INTEGER NOT NULL,
    fault      INTEGER NOT NULL,
    detail     TEXT    NOT NULL,
    changed    INTEGER NOT NULL
);

-- What happened, in order; every process of the profile reads on from where it stands. Only the oldest
-- are ever deleted, so that numbers are not used again.
CREATE TABLE event (
    id   INTEGER PRIMARY KEY,
    time INTEGER NOT NULL,
    body BLOB    NOT NULL
);

-- Entries that show a hub's two histories.
CREATE TABLE evidence (
    id    INTEGER PRIMARY KEY,
    room  BLOB    NOT NULL,
    seq   INTEGER NOT NULL,
    entry BLOB    NOT NULL,
    time  INTEGER NOT NULL
);
