-- How far back each room's log goes, and when it was seen to reach a position: marks in their own encoding.

CREATE TABLE retention (
    room      BLOB NOT NULL PRIMARY KEY,
    kept_from INTEGER NOT NULL,
    marks     BLOB NOT NULL
) STRICT, WITHOUT ROWID;
