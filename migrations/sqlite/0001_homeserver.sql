-- A homeserver's rows. Ids are blobs of fixed size (room 32 bytes, account 32: the root key, device 16,
-- message 16), servers are the text of their DID, times are milliseconds since the Unix epoch, and
-- unsigned 64-bit numbers are stored as the signed number of the same bits.

CREATE TABLE account (
    account BLOB NOT NULL PRIMARY KEY,
    local   TEXT NOT NULL UNIQUE,
    claim   BLOB NOT NULL,
    created INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
    account     BLOB NOT NULL,
    device      BLOB NOT NULL,
    last_queued INTEGER NOT NULL,
    PRIMARY KEY (account, device)
) STRICT, WITHOUT ROWID;

CREATE TABLE key_package (
    reference   BLOB NOT NULL PRIMARY KEY,
    account     BLOB NOT NULL,
    device      BLOB NOT NULL,
    key_package BLOB NOT NULL,
    suite       INTEGER NOT NULL,
    last_resort INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    claimed     BLOB
) STRICT;
CREATE INDEX key_package_by_account ON key_package (account, suite, last_resort, expires);

CREATE TABLE claim (
    room      BLOB NOT NULL,
    reference BLOB NOT NULL,
    home      TEXT NOT NULL,
    time      INTEGER NOT NULL,
    PRIMARY KEY (room, reference)
) STRICT, WITHOUT ROWID;

CREATE TABLE room (
    room      BLOB NOT NULL PRIMARY KEY,
    hub       TEXT NOT NULL,
    term      INTEGER NOT NULL,
    seq       INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    epoch     INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    pending   BLOB NOT NULL,
    followers BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Each ciphertext stands here once, however many devices and peers read it.
CREATE TABLE room_log (
    room        BLOB NOT NULL,
    seq         INTEGER NOT NULL,
    origin      TEXT NOT NULL,
    message_id  BLOB NOT NULL,
    header      BLOB NOT NULL,
    body        BLOB NOT NULL,
    attestation BLOB,
    PRIMARY KEY (room, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX room_log_by_message ON room_log (message_id, room, origin);

CREATE TABLE member (
    room    BLOB NOT NULL,
    account BLOB NOT NULL,
    device  BLOB NOT NULL,
    leaf    INTEGER NOT NULL,
    home    TEXT NOT NULL,
    joined  INTEGER NOT NULL,
    "left"  INTEGER,
    PRIMARY KEY (room, account, device)
) STRICT, WITHOUT ROWID;
CREATE INDEX member_by_device ON member (account, device, room);

CREATE TABLE group_row (
    room  BLOB NOT NULL,
    key   BLOB NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (room, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE epoch (
    room       BLOB NOT NULL,
    epoch      INTEGER NOT NULL,
    group_info BLOB NOT NULL,
    undo       BLOB NOT NULL,
    tree_hash  BLOB NOT NULL,
    tree_bytes INTEGER NOT NULL,
    PRIMARY KEY (room, epoch)
) STRICT;

CREATE TABLE peer (
    server       TEXT NOT NULL PRIMARY KEY,
    stream_epoch INTEGER NOT NULL,
    last_out     INTEGER NOT NULL,
    acked        INTEGER NOT NULL,
    in_epoch     INTEGER NOT NULL,
    in_last      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What is owed to a peer: a narrow pointer into the log, or an item of its own.
CREATE TABLE outbox (
    peer   TEXT NOT NULL,
    number INTEGER NOT NULL,
    room   BLOB,
    seq    INTEGER,
    item   BLOB,
    PRIMARY KEY (peer, number),
    CHECK ((item IS NULL) <> (room IS NULL AND seq IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX outbox_by_room ON outbox (room, seq) WHERE room IS NOT NULL;

CREATE TABLE pending (
    room       BLOB NOT NULL,
    message_id BLOB NOT NULL,
    account    BLOB NOT NULL,
    device     BLOB NOT NULL,
    submission BLOB NOT NULL,
    stored     INTEGER NOT NULL,
    PRIMARY KEY (room, message_id)
) STRICT;
CREATE INDEX pending_by_account ON pending (account);

CREATE TABLE queue (
    account BLOB NOT NULL,
    device  BLOB NOT NULL,
    number  INTEGER NOT NULL,
    time    INTEGER NOT NULL,
    item    BLOB NOT NULL,
    PRIMARY KEY (account, device, number)
) STRICT;

CREATE TABLE parked (
    peer         TEXT NOT NULL,
    stream_epoch INTEGER NOT NULL,
    number       INTEGER NOT NULL,
    room         BLOB,
    seq          INTEGER,
    bytes        BLOB NOT NULL,
    reason       TEXT NOT NULL,
    time         INTEGER NOT NULL,
    PRIMARY KEY (peer, stream_epoch, number)
) STRICT;
CREATE INDEX parked_by_room ON parked (room, seq) WHERE room IS NOT NULL;
CREATE INDEX parked_by_time ON parked (time, peer, stream_epoch, number);
