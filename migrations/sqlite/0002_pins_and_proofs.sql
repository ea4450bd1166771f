-- What is pinned of other servers' chains of keys, in its own encoding.
CREATE TABLE pin (
    server TEXT NOT NULL PRIMARY KEY,
    pin    BLOB NOT NULL,
    since  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Rooms whose hub showed two histories, with the proof; such a room stands still.
CREATE TABLE equivocation (
    room  BLOB NOT NULL PRIMARY KEY,
    time  INTEGER NOT NULL,
    proof BLOB NOT NULL
) STRICT;
