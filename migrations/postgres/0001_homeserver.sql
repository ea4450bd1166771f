-- A homeserver's rows. Ids are bytes of fixed size (room 32 bytes, account 32: the root key, device 16,
-- message 16), servers are the text of their DID, compared by bytes, times are milliseconds since the
-- Unix epoch, and unsigned 64-bit numbers are stored as the signed number of the same bits.

CREATE TABLE account (
    account BYTEA NOT NULL PRIMARY KEY,
    local   TEXT COLLATE "C" NOT NULL UNIQUE,
    claim   BYTEA NOT NULL,
    created BIGINT NOT NULL
);

CREATE TABLE device (
    account     BYTEA NOT NULL,
    device      BYTEA NOT NULL,
    last_queued BIGINT NOT NULL,
    PRIMARY KEY (account, device)
);

CREATE TABLE key_package (
    reference   BYTEA NOT NULL PRIMARY KEY,
    account     BYTEA NOT NULL,
    device      BYTEA NOT NULL,
    key_package BYTEA NOT NULL,
    suite       BIGINT NOT NULL,
    last_resort BOOLEAN NOT NULL,
    expires     BIGINT NOT NULL,
    claimed     BYTEA
);
CREATE INDEX key_package_by_account ON key_package (account, suite, last_resort, expires);

CREATE TABLE claim (
    room      BYTEA NOT NULL,
    reference BYTEA NOT NULL,
    home      TEXT COLLATE "C" NOT NULL,
    time      BIGINT NOT NULL,
    PRIMARY KEY (room, reference)
);

CREATE TABLE room (
    room      BYTEA NOT NULL PRIMARY KEY,
    hub       TEXT COLLATE "C" NOT NULL,
    term      BIGINT NOT NULL,
    seq       BIGINT NOT NULL,
    hash      BYTEA NOT NULL,
    epoch     BIGINT NOT NULL,
    delivered BIGINT NOT NULL,
    pending   BYTEA NOT NULL,
    followers BYTEA NOT NULL
);

-- Each ciphertext stands here once, however many devices and peers read it.
CREATE TABLE room_log (
    room        BYTEA NOT NULL,
    seq         BIGINT NOT NULL,
    origin      TEXT COLLATE "C" NOT NULL,
    message_id  BYTEA NOT NULL,
    header      BYTEA NOT NULL,
    body        BYTEA NOT NULL,
    attestation BYTEA,
    PRIMARY KEY (room, seq)
);
CREATE UNIQUE INDEX room_log_by_message ON room_log (message_id, room, origin);

CREATE TABLE member (
    room    BYTEA NOT NULL,
    account BYTEA NOT NULL,
    device  BYTEA NOT NULL,
    leaf    BIGINT NOT NULL,
    home    TEXT COLLATE "C" NOT NULL,
    joined  BIGINT NOT NULL,
    "left"  BIGINT,
    PRIMARY KEY (room, account, device)
);
CREATE INDEX member_by_device ON member (account, device, room);

CREATE TABLE group_row (
    room  BYTEA NOT NULL,
    key   BYTEA NOT NULL,
    value BYTEA NOT NULL,
    PRIMARY KEY (room, key)
);

CREATE TABLE epoch (
    room       BYTEA NOT NULL,
    epoch      BIGINT NOT NULL,
    group_info BYTEA NOT NULL,
    undo       BYTEA NOT NULL,
    tree_hash  BYTEA NOT NULL,
    tree_bytes BIGINT NOT NULL,
    PRIMARY KEY (room, epoch)
);

CREATE TABLE peer (
    server       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    stream_epoch BIGINT NOT NULL,
    last_out     BIGINT NOT NULL,
    acked        BIGINT NOT NULL,
    in_epoch     BIGINT NOT NULL,
    in_last      BIGINT NOT NULL
);

-- What is owed to a peer: a narrow pointer into the log, or an item of its own.
CREATE TABLE outbox (
    peer   TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    room   BYTEA,
    seq    BIGINT,
    item   BYTEA,
    PRIMARY KEY (peer, number),
    CHECK ((item IS NULL) <> (room IS NULL AND seq IS NULL))
);
CREATE INDEX outbox_by_room ON outbox (room, seq);

CREATE TABLE pending (
    room       BYTEA NOT NULL,
    message_id BYTEA NOT NULL,
    account    BYTEA NOT NULL,
    device     BYTEA NOT NULL,
    submission BYTEA NOT NULL,
    stored     BIGINT NOT NULL,
    PRIMARY KEY (room, message_id)
);
CREATE INDEX pending_by_account ON pending (account);

CREATE TABLE queue (
    account BYTEA NOT NULL,
    device  BYTEA NOT NULL,
    number  BIGINT NOT NULL,
    time    BIGINT NOT NULL,
    item    BYTEA NOT NULL,
    PRIMARY KEY (account, device, number)
);

CREATE TABLE parked (
    peer         TEXT COLLATE "C" NOT NULL,
    stream_epoch BIGINT NOT NULL,
    number       BIGINT NOT NULL,
    room         BYTEA,
    seq          BIGINT,
    bytes        BYTEA NOT NULL,
    reason       BYTEA NOT NULL,
    time         BIGINT NOT NULL,
    PRIMARY KEY (peer, stream_epoch, number)
);
CREATE INDEX parked_by_room ON parked (room, seq);
CREATE INDEX parked_by_time ON parked (time, peer, stream_epoch, number);
