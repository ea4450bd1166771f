-- How far back each room's log goes, and when it was seen to reach a position: marks in their own encoding.

CREATE TABLE retention (
    room      BYTEA NOT NULL PRIMARY KEY,
    kept_from BIGINT NOT NULL,
    marks     BYTEA NOT NULL
);
