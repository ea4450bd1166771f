//! What is folded together, and what is not.

use super::{Cell, Kind, Table, Writes};

static PUT: Kind = Kind {
    table: Table::Room,
    sql: "put",
    key_columns: 1,
    otherwise: None,
};
static DROP: Kind = Kind {
    table: Table::Room,
    sql: "drop",
    key_columns: 1,
    otherwise: None,
};
static APPEND: Kind = Kind {
    table: Table::RoomLog,
    sql: "append",
    key_columns: 0,
    otherwise: Some("occupied"),
};

/// Statements and their numbers of rows, for rows of one column.
fn check(rows: &[(&'static Kind, i64)], expect: &[(&str, u64)]) {
    let mut writes = Writes::default();
    for (kind, key) in rows {
        writes.push(kind, [Cell::Number(*key)]);
    }
    let groups = writes.into_groups();
    let found: Vec<_> = groups.iter().map(|g| (g.kind.sql, g.rows())).collect();
    assert_eq!(found, expect);
}

#[test]
fn rows_of_a_kind_are_one_statement_whatever_lies_between_them() {
    let rows = [(&PUT, 1), (&APPEND, 1), (&PUT, 2), (&APPEND, 2), (&PUT, 3)];
    check(&rows, &[("put", 3), ("append", 2)]);
}

#[test]
fn a_key_is_written_once_by_a_statement() {
    let rows = [(&PUT, 1), (&PUT, 2), (&PUT, 1), (&PUT, 2), (&PUT, 2)];
    check(&rows, &[("put", 2), ("put", 2), ("put", 1)]);
}

#[test]
fn kinds_of_one_table_keep_their_order() {
    let rows = [(&PUT, 1), (&DROP, 1), (&DROP, 2), (&PUT, 1)];
    check(&rows, &[("put", 1), ("drop", 2), ("put", 1)]);
}

#[test]
fn what_has_no_key_is_left_to_the_database() {
    check(&[(&APPEND, 1), (&APPEND, 1)], &[("append", 2)]);
}
