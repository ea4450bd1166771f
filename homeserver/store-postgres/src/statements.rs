//! Every statement that this store sends, in one place.
//!
//! Purpose: a reader sees the whole of what the database is asked, and a test holds all of it to a list
//! of constructs that were looked up for Citus, YugabyteDB and CockroachDB beside Postgres. No other file of this crate speaks SQL,
//! but for the numbered migrations.
//!
//! Conventions: whatever is written comes as one array for each column, so that one statement writes
//! any number of rows. What must be new is inserted with `DO NOTHING`, and the rows are counted: a row
//! that this transaction could have seen is then a row too few, one that it could not see is a
//! serialization failure, and so a bug is told from a race. Pages are cut by the database as far as it
//! knows sizes; the exact cut is [`entente_homeserver_ops::Page::admits`].

macro_rules! statements {
    ($($(#[$doc:meta])* $name:ident = $sql:literal;)+) => {
        $($(#[$doc])* pub(crate) const $name: &str = $sql;)+

        /// All of them, by name.
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name),)+];
    };
}

statements! {
    /// Begins a transaction that writes.
    BEGIN_WRITE = "BEGIN ISOLATION LEVEL SERIALIZABLE";
    /// Begins a view; the query takes its snapshot.
    BEGIN_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1";
    /// Begins a migration; after the wait for its lock each statement has to see what the one before
    /// it in the queue did.
    BEGIN_MIGRATION = "BEGIN ISOLATION LEVEL READ COMMITTED";
    COMMIT = "COMMIT";
    ROLLBACK = "ROLLBACK";

    /// What the session runs with: of the wanted settings those that this engine knows.
    SET_UP = "SELECT set_config(known.name, wanted.value, false)
        FROM UNNEST($1::text[], $2::text[]) AS wanted(name, value)
        JOIN pg_catalog.pg_settings AS known ON known.name = wanted.name";
    /// The session keeps what it was opened with, when the configuration is read again.
    KEEP_DURABILITY = "SELECT set_config(name, setting, false) FROM pg_catalog.pg_settings
        WHERE name = 'synchronous_commit'";
    /// Whether a commit is on disk when it returns; what an engine does not have is null.
    DURABILITY = "SELECT current_setting('fsync', true), current_setting('synchronous_commit', true)";

    /// The row that whoever migrates holds.
    MAKE_MIGRATION_LOCK = "CREATE TABLE IF NOT EXISTS migration_lock (id INTEGER NOT NULL PRIMARY KEY);
        INSERT INTO migration_lock (id) VALUES (1) ON CONFLICT DO NOTHING";
    TAKE_MIGRATION_LOCK = "SELECT id FROM migration_lock WHERE id = 1 FOR UPDATE";
    HAS_HISTORY = "SELECT count(*) FROM information_schema.tables
        WHERE table_schema = current_schema() AND table_name = 'refinery_schema_history'";
    VERSION = "SELECT COALESCE(MAX(version), 0) FROM refinery_schema_history";

    ACCOUNT = "SELECT account, local, claim, created FROM account WHERE account = $1";
    ACCOUNT_NAMED = "SELECT account, local, claim, created FROM account WHERE local = $1";
    DEVICES = "SELECT account, device, last_queued FROM device WHERE account = $1 ORDER BY device";
    KEY_PACKAGE = "SELECT reference, account, device, key_package, suite, last_resort, expires, claimed, claimed_by
        FROM key_package WHERE reference = $1";
    KEY_PACKAGE_COUNT = "SELECT count(*) FROM key_package
        WHERE account = $1 AND device = $2 AND NOT last_resort AND claimed IS NULL";
    CLAIMABLE = "SELECT reference, account, device, key_package, suite, last_resort, expires, claimed, claimed_by
        FROM key_package
        WHERE account = $1 AND suite = $2 AND expires > $3 AND (last_resort OR claimed IS NULL)
        ORDER BY last_resort, expires, reference LIMIT 1";
    CLAIM = "SELECT room, reference, home, time FROM claim WHERE room = $1 AND reference = $2";
    ROOM = "SELECT room, hub, term, seq, hash, epoch, delivered, pending, followers
        FROM room WHERE room = $1";
    MEMBER = r#"SELECT room, account, device, leaf, home, joined, "left" FROM member
        WHERE room = $1 AND account = $2 AND device = $3"#;
    MEMBERS = r#"SELECT room, account, device, leaf, home, joined, "left" FROM member
        WHERE room = $1 AND "left" IS NULL ORDER BY account, device"#;
    MEMBER_TIMES = r#"SELECT room, account, device, leaf, home, joined, "left" FROM member
        WHERE room = $1 AND home = $2 ORDER BY account, device"#;
    MEMBERSHIPS = r#"SELECT room, account, device, leaf, home, joined, "left" FROM member
        WHERE account = $1 AND device = $2 ORDER BY room"#;
    ENTRIES = "SELECT header, body, attestation FROM (
            SELECT seq, header, body, attestation,
                CAST(SUM(size) OVER (ORDER BY seq) AS bigint) - size AS bytes_before
            FROM (
                SELECT seq, header, body, attestation, octet_length(header) + octet_length(body) AS size
                FROM room_log WHERE room = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4
            ) AS first
        ) AS page WHERE bytes_before < $5 ORDER BY seq";
    RETENTION = "SELECT room, kept_from, marks FROM retention WHERE room = $1";
    ROOMS_AFTER = "SELECT room FROM room WHERE room > $1 ORDER BY room LIMIT $2";
    ORDERED = "SELECT header FROM room_log WHERE message_id = $1 AND room = $2 AND origin = $3";
    ORIGINS = "SELECT DISTINCT origin FROM room_log WHERE room = $1 AND seq > $2 AND seq <= $3";
    LAST_ATTESTED = "SELECT header, attestation FROM room_log,
            (SELECT max(seq) AS last FROM room_log WHERE room = $1) AS whole
        WHERE room = $1 AND attestation IS NOT NULL AND seq > last - $2
        ORDER BY seq DESC LIMIT 1";
    GROUP = "SELECT key, value FROM group_row WHERE room = $1 ORDER BY key";
    EPOCH = "SELECT room, epoch, group_info, undo, tree_hash, tree_bytes FROM epoch
        WHERE room = $1 AND epoch = $2";
    PEER = "SELECT server, stream_epoch, last_out, acked, in_epoch, in_last FROM peer
        WHERE server = $1";
    PEERS = "SELECT server, stream_epoch, last_out, acked, in_epoch, in_last FROM peer
        ORDER BY server";
    PEERS_AFTER = "SELECT server, stream_epoch, last_out, acked, in_epoch, in_last FROM peer
        WHERE server > $1 ORDER BY server LIMIT $2";
    NODE = "SELECT node, name, beat FROM node WHERE node = $1";
    NODES = "SELECT node, name, beat FROM node ORDER BY node";
    LINK = "SELECT peer, holder, fence FROM link WHERE peer = $1";
    LINKS_AFTER = "SELECT peer, holder, fence FROM link WHERE peer > $1 ORDER BY peer LIMIT $2";
    LOG_ENDS = "SELECT room.room, room.seq, room.delivered
        FROM UNNEST($1::bytea[]) AS wanted(room) JOIN room ON room.room = wanted.room";
    QUEUE_ENDS = "SELECT device.account, device.device, device.last_queued
        FROM UNNEST($1::bytea[], $2::bytea[]) AS wanted(account, device)
        JOIN device ON device.account = wanted.account AND device.device = wanted.device";
    ROOMS = "SELECT room.room, room.hub, room.term, room.seq, room.hash, room.epoch,
            room.delivered, room.pending, room.followers
        FROM UNNEST($1::bytea[]) AS wanted(room) JOIN room ON room.room = wanted.room";
    FROZEN = "SELECT equivocation.room FROM UNNEST($1::bytea[]) AS wanted(room)
        JOIN equivocation ON equivocation.room = wanted.room";
    TIMES = r#"SELECT member.room, member.account, member.device, member.leaf, member.home,
            member.joined, member."left"
        FROM UNNEST($1::bytea[], $2::bytea[], $3::bytea[]) AS wanted(room, account, device)
        JOIN member ON member.room = wanted.room AND member.account = wanted.account
            AND member.device = wanted.device"#;
    PLACES = "SELECT room_log.header
        FROM UNNEST($1::bytea[], $2::text[], $3::bytea[]) AS wanted(room, origin, message_id)
        JOIN room_log ON room_log.message_id = wanted.message_id AND room_log.room = wanted.room
            AND room_log.origin = wanted.origin";
    WAITING = "SELECT pending.account, pending.device, pending.submission, pending.stored
        FROM UNNEST($1::bytea[], $2::bytea[]) AS wanted(room, message_id)
        JOIN pending ON pending.room = wanted.room AND pending.message_id = wanted.message_id";
    PIN = "SELECT pin, since FROM pin WHERE server = $1";
    EQUIVOCATION = "SELECT room, time, proof FROM equivocation WHERE room = $1";
    /// Pointers and items; what the pointers lead to is asked for after them. One statement would have
    /// to be an outer join of two tables that Citus keeps apart.
    OWED = "SELECT number, room, seq, item FROM (
            SELECT number, room, seq, item,
                CAST(SUM(size) OVER (ORDER BY number) AS bigint) - size AS bytes_before
            FROM (
                SELECT number, room, seq, item, COALESCE(octet_length(item), 0) AS size
                FROM outbox WHERE peer = $1 AND number > $2 ORDER BY number LIMIT $3
            ) AS first
        ) AS page WHERE bytes_before < $4 ORDER BY number";
    OWED_ENTRIES = "SELECT number, header, body, attestation FROM (
            SELECT number, header, body, attestation,
                CAST(SUM(size) OVER (ORDER BY number) AS bigint) - size AS bytes_before
            FROM (
                SELECT wanted.number, log.header, log.body, log.attestation,
                    octet_length(log.header) + octet_length(log.body) AS size
                FROM UNNEST($1::bigint[], $2::bytea[], $3::bigint[]) AS wanted(number, room, seq)
                JOIN room_log AS log ON log.room = wanted.room AND log.seq = wanted.seq
            ) AS found
        ) AS page WHERE bytes_before < $4 ORDER BY number";
    OWED_ROOMS = "SELECT DISTINCT room FROM outbox
        WHERE peer = $1 AND number <= $2 AND room IS NOT NULL";
    OLDEST_OWED = "SELECT seq FROM outbox WHERE room = $1 ORDER BY seq LIMIT 1";
    PENDING = "SELECT account, device, submission, stored FROM pending
        WHERE room = $1 AND message_id = $2";
    PENDING_COUNT = "SELECT count(*) FROM pending WHERE account = $1";
    QUEUED = "SELECT account, device, number, time, item, invited_by FROM (
            SELECT account, device, number, time, item, invited_by,
                CAST(SUM(octet_length(item)) OVER (ORDER BY number) AS bigint) - octet_length(item)
                    AS bytes_before
            FROM (
                SELECT account, device, number, time, item, invited_by FROM queue
                WHERE account = $1 AND device = $2 AND number > $3 ORDER BY number LIMIT $4
            ) AS first
        ) AS page WHERE bytes_before < $5 ORDER BY number";
    WAITING_INVITES = "SELECT invited_by, count(*) FROM queue
        WHERE account = $1 AND device = $2 AND invited_by IS NOT NULL
        GROUP BY invited_by ORDER BY invited_by";
    PARKED = "SELECT peer, stream_epoch, number, room, seq, bytes, reason, time FROM (
            SELECT peer, stream_epoch, number, room, seq, bytes, reason, time,
                CAST(SUM(octet_length(bytes)) OVER (ORDER BY time, peer, stream_epoch, number) AS bigint)
                    - octet_length(bytes) AS bytes_before
            FROM (
                SELECT peer, stream_epoch, number, room, seq, bytes, reason, time FROM parked
                ORDER BY time, peer, stream_epoch, number LIMIT $1
            ) AS first
        ) AS page WHERE bytes_before < $2 ORDER BY time, peer, stream_epoch, number";
    PARKED_COUNT = "SELECT count(*) FROM parked WHERE peer = $1";

    PUT_ACCOUNT = "INSERT INTO account (account, local, claim, created)
        SELECT account, local, claim, created
        FROM UNNEST($1::bytea[], $2::text[], $3::bytea[], $4::bigint[])
            AS new(account, local, claim, created)
        ON CONFLICT (account) DO UPDATE SET local = excluded.local, claim = excluded.claim,
            created = excluded.created";
    PUT_DEVICE = "INSERT INTO device (account, device, last_queued)
        SELECT account, device, last_queued
        FROM UNNEST($1::bytea[], $2::bytea[], $3::bigint[]) AS new(account, device, last_queued)
        ON CONFLICT (account, device) DO UPDATE SET last_queued = excluded.last_queued";
    PUT_KEY_PACKAGE = "INSERT INTO key_package
            (reference, account, device, key_package, suite, last_resort, expires, claimed, claimed_by)
        SELECT reference, account, device, key_package, suite, last_resort, expires, claimed, claimed_by
        FROM UNNEST($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bigint[], $6::boolean[],
            $7::bigint[], $8::bytea[], $9::text[])
            AS new(reference, account, device, key_package, suite, last_resort, expires, claimed, claimed_by)
        ON CONFLICT (reference) DO UPDATE SET account = excluded.account, device = excluded.device,
            key_package = excluded.key_package, suite = excluded.suite,
            last_resort = excluded.last_resort, expires = excluded.expires,
            claimed = excluded.claimed, claimed_by = excluded.claimed_by";
    DROP_KEY_PACKAGE = "DELETE FROM key_package USING UNNEST($1::bytea[]) AS gone(reference)
        WHERE key_package.reference = gone.reference";
    DROP_LAST_RESORT = "DELETE FROM key_package
        USING UNNEST($1::bytea[], $2::bytea[], $3::bigint[]) AS gone(account, device, suite)
        WHERE key_package.account = gone.account AND key_package.device = gone.device
            AND key_package.suite = gone.suite AND key_package.last_resort";
    PUT_CLAIM = "INSERT INTO claim (room, reference, home, time)
        SELECT room, reference, home, time
        FROM UNNEST($1::bytea[], $2::bytea[], $3::text[], $4::bigint[])
            AS new(room, reference, home, time)
        ON CONFLICT (room, reference) DO UPDATE SET home = excluded.home, time = excluded.time";
    PUT_ROOM = "INSERT INTO room
            (room, hub, term, seq, hash, epoch, delivered, pending, followers)
        SELECT room, hub, term, seq, hash, epoch, delivered, pending, followers
        FROM UNNEST($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::bytea[], $6::bigint[],
            $7::bigint[], $8::bytea[], $9::bytea[])
            AS new(room, hub, term, seq, hash, epoch, delivered, pending, followers)
        ON CONFLICT (room) DO UPDATE SET hub = excluded.hub, term = excluded.term,
            seq = excluded.seq, hash = excluded.hash, epoch = excluded.epoch,
            delivered = excluded.delivered, pending = excluded.pending,
            followers = excluded.followers";
    APPEND_ENTRY = "INSERT INTO room_log
            (room, seq, origin, message_id, header, body, attestation)
        SELECT room, seq, origin, message_id, header, body, attestation
        FROM UNNEST($1::bytea[], $2::bigint[], $3::text[], $4::bytea[], $5::bytea[], $6::bytea[],
            $7::bytea[]) AS new(room, seq, origin, message_id, header, body, attestation)
        ON CONFLICT DO NOTHING";
    DROP_ENTRIES = "DELETE FROM room_log USING UNNEST($1::bytea[], $2::bigint[]) AS gone(room, up_to)
        WHERE room_log.room = gone.room AND room_log.seq <= gone.up_to";
    PUT_RETENTION = "INSERT INTO retention (room, kept_from, marks)
        SELECT room, kept_from, marks FROM UNNEST($1::bytea[], $2::bigint[], $3::bytea[])
            AS new(room, kept_from, marks)
        ON CONFLICT (room) DO UPDATE SET kept_from = excluded.kept_from, marks = excluded.marks";
    ATTEST = "UPDATE room_log SET attestation = new.attestation
        FROM UNNEST($1::bytea[], $2::bigint[], $3::bytea[]) AS new(room, seq, attestation)
        WHERE room_log.room = new.room AND room_log.seq = new.seq";
    PUT_MEMBER = r#"INSERT INTO member (room, account, device, leaf, home, joined, "left")
        SELECT room, account, device, leaf, home, joined, ended
        FROM UNNEST($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[], $5::text[], $6::bigint[],
            $7::bigint[]) AS new(room, account, device, leaf, home, joined, ended)
        ON CONFLICT (room, account, device) DO UPDATE SET leaf = excluded.leaf,
            home = excluded.home, joined = excluded.joined, "left" = excluded."left""#;
    END_MEMBER = r#"UPDATE member SET "left" = gone.ended
        FROM UNNEST($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[])
            AS gone(room, account, device, ended)
        WHERE member.room = gone.room AND member.account = gone.account
            AND member.device = gone.device AND member."left" IS NULL"#;
    PUT_GROUP_ROW = "INSERT INTO group_row (room, key, value)
        SELECT room, key, value
        FROM UNNEST($1::bytea[], $2::bytea[], $3::bytea[]) AS new(room, key, value)
        ON CONFLICT (room, key) DO UPDATE SET value = excluded.value";
    DROP_GROUP_ROW = "DELETE FROM group_row
        USING UNNEST($1::bytea[], $2::bytea[]) AS gone(room, key)
        WHERE group_row.room = gone.room AND group_row.key = gone.key";
    PUT_EPOCH = "INSERT INTO epoch (room, epoch, group_info, undo, tree_hash, tree_bytes)
        SELECT room, epoch, group_info, undo, tree_hash, tree_bytes
        FROM UNNEST($1::bytea[], $2::bigint[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bigint[])
            AS new(room, epoch, group_info, undo, tree_hash, tree_bytes)
        ON CONFLICT (room, epoch) DO UPDATE SET group_info = excluded.group_info,
            undo = excluded.undo, tree_hash = excluded.tree_hash,
            tree_bytes = excluded.tree_bytes";
    DROP_EPOCHS = "DELETE FROM epoch USING UNNEST($1::bytea[], $2::bigint[]) AS gone(room, before)
        WHERE epoch.room = gone.room AND epoch.epoch < gone.before";
    PUT_PEER = "INSERT INTO peer (server, stream_epoch, last_out, acked, in_epoch, in_last)
        SELECT server, stream_epoch, last_out, acked, in_epoch, in_last
        FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
            AS new(server, stream_epoch, last_out, acked, in_epoch, in_last)
        ON CONFLICT (server) DO UPDATE SET stream_epoch = excluded.stream_epoch,
            last_out = excluded.last_out, acked = excluded.acked, in_epoch = excluded.in_epoch,
            in_last = excluded.in_last";
    PUT_NODE = "INSERT INTO node (node, name, beat)
        SELECT node, name, beat FROM UNNEST($1::bytea[], $2::text[], $3::bigint[])
            AS new(node, name, beat)
        ON CONFLICT (node) DO UPDATE SET name = excluded.name, beat = excluded.beat";
    DROP_NODE = "DELETE FROM node USING UNNEST($1::bytea[]) AS gone(node)
        WHERE node.node = gone.node";
    PUT_LINK = "INSERT INTO link (peer, holder, fence)
        SELECT peer, holder, fence FROM UNNEST($1::text[], $2::bytea[], $3::bigint[])
            AS new(peer, holder, fence)
        ON CONFLICT (peer) DO UPDATE SET holder = excluded.holder, fence = excluded.fence";
    PUT_PIN = "INSERT INTO pin (server, pin, since)
        SELECT server, pin, since
        FROM UNNEST($1::text[], $2::bytea[], $3::bigint[]) AS new(server, pin, since)
        ON CONFLICT (server) DO UPDATE SET pin = excluded.pin, since = excluded.since";
    DROP_PIN = "DELETE FROM pin USING UNNEST($1::text[]) AS gone(server)
        WHERE pin.server = gone.server";
    PUT_EQUIVOCATION = "INSERT INTO equivocation (room, time, proof)
        SELECT room, time, proof
        FROM UNNEST($1::bytea[], $2::bigint[], $3::bytea[]) AS new(room, time, proof)
        ON CONFLICT DO NOTHING";
    OWE = "INSERT INTO outbox (peer, number, room, seq, item)
        SELECT peer, number, room, seq, item
        FROM UNNEST($1::text[], $2::bigint[], $3::bytea[], $4::bigint[], $5::bytea[])
            AS new(peer, number, room, seq, item)
        ON CONFLICT DO NOTHING";
    DROP_OWED = "DELETE FROM outbox USING UNNEST($1::text[], $2::bigint[]) AS gone(peer, up_to)
        WHERE outbox.peer = gone.peer AND outbox.number <= gone.up_to";
    PUT_PENDING = "INSERT INTO pending (room, message_id, account, device, submission, stored)
        SELECT room, message_id, account, device, submission, stored
        FROM UNNEST($1::bytea[], $2::bytea[], $3::bytea[], $4::bytea[], $5::bytea[], $6::bigint[])
            AS new(room, message_id, account, device, submission, stored)
        ON CONFLICT (room, message_id) DO UPDATE SET account = excluded.account,
            device = excluded.device, submission = excluded.submission, stored = excluded.stored";
    DROP_PENDING = "DELETE FROM pending
        USING UNNEST($1::bytea[], $2::bytea[]) AS gone(room, message_id)
        WHERE pending.room = gone.room AND pending.message_id = gone.message_id";
    ENQUEUE = "INSERT INTO queue (account, device, number, time, item, invited_by)
        SELECT account, device, number, time, item, invited_by
        FROM UNNEST($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[], $5::bytea[], $6::text[])
            AS new(account, device, number, time, item, invited_by)
        ON CONFLICT DO NOTHING";
    DROP_QUEUED = "DELETE FROM queue
        USING UNNEST($1::bytea[], $2::bytea[], $3::bigint[]) AS gone(account, device, up_to)
        WHERE queue.account = gone.account AND queue.device = gone.device
            AND queue.number <= gone.up_to";
    PARK = "INSERT INTO parked (peer, stream_epoch, number, room, seq, bytes, reason, time)
        SELECT peer, stream_epoch, number, room, seq, bytes, reason, time
        FROM UNNEST($1::text[], $2::bigint[], $3::bigint[], $4::bytea[], $5::bigint[], $6::bytea[],
            $7::bytea[], $8::bigint[])
            AS new(peer, stream_epoch, number, room, seq, bytes, reason, time)
        ON CONFLICT (peer, stream_epoch, number) DO UPDATE SET room = excluded.room,
            seq = excluded.seq, bytes = excluded.bytes, reason = excluded.reason,
            time = excluded.time";
    DROP_PARKED = "DELETE FROM parked USING UNNEST($1::bytea[], $2::bigint[]) AS gone(room, up_to)
        WHERE parked.room = gone.room AND parked.seq <= gone.up_to";
}

#[cfg(test)]
mod tests;
