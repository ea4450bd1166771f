-- Proofs that a room's hub showed two histories, as a server handed them over; the first of each room.
CREATE TABLE equivocation (
    room  BLOB    NOT NULL PRIMARY KEY,
    time  INTEGER NOT NULL,
    proof BLOB    NOT NULL
);
