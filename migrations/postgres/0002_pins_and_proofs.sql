-- What is pinned of other servers' chains of keys, in its own encoding.
CREATE TABLE pin (
    server TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    pin    BYTEA NOT NULL,
    since  BIGINT NOT NULL
);

-- Rooms whose hub showed two histories, with the proof; such a room stands still.
CREATE TABLE equivocation (
    room  BYTEA NOT NULL PRIMARY KEY,
    time  BIGINT NOT NULL,
    proof BYTEA NOT NULL
);
