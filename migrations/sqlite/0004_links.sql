-- The nodes of this server that live, and which of them drives the link to each peer.

CREATE TABLE node (
    node BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    beat INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE link (
    peer   TEXT NOT NULL PRIMARY KEY,
    holder BLOB NOT NULL,
    fence  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
