-- The nodes of this server that live, and which of them drives the link to each peer. Both tables stay small
-- and are read again and again.

CREATE TABLE node (
    node BYTEA NOT NULL PRIMARY KEY,
    name TEXT COLLATE "C" NOT NULL,
    beat BIGINT NOT NULL
);

CREATE TABLE link (
    peer   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    holder BYTEA NOT NULL,
    fence  BIGINT NOT NULL
);
