//! Many rows into few statements.
//!
//! Purpose: whatever a transaction writes is folded into one statement for each run of rows of one
//! kind. Invariants: the effect is that of the rows one after the other. Tables do not know each
//! other (there is no trigger and no foreign key), so only rows of one table have an order to keep: a
//! row joins the last statement of its table, if that is of the same kind and writes no row of the
//! same key yet; else it begins another.

use std::collections::{BTreeMap, HashSet};

use tokio_postgres::types::ToSql;

/// The tables that are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Table {
    Account,
    Device,
    KeyPackage,
    Claim,
    Room,
    RoomLog,
    Retention,
    Member,
    GroupRow,
    Epoch,
    Peer,
    Node,
    Link,
    Pin,
    Equivocation,
    Outbox,
    Pending,
    Queue,
    Parked,
}

/// A kind of write.
#[derive(Debug)]
pub(crate) struct Kind {
    /// The table.
    pub(crate) table: Table,
    /// The statement, with an array for each column.
    pub(crate) sql: &'static str,
    /// How many of the first columns make a key that one statement writes at most once.
    pub(crate) key_columns: usize,
    /// What is wrong if not every row has its effect; `None` if that is fine.
    pub(crate) otherwise: Option<&'static str>,
}

/// One column of one row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Cell {
    Bytes(Vec<u8>),
    MaybeBytes(Option<Vec<u8>>),
    Text(String),
    MaybeText(Option<String>),
    Number(i64),
    MaybeNumber(Option<i64>),
    Flag(bool),
}

/// One column of all rows.
#[derive(Debug)]
enum Column {
    Bytes(Vec<Vec<u8>>),
    MaybeBytes(Vec<Option<Vec<u8>>>),
    Text(Vec<String>),
    MaybeText(Vec<Option<String>>),
    Number(Vec<i64>),
    MaybeNumber(Vec<Option<i64>>),
    Flag(Vec<bool>),
}

/// Rows of one kind, written by one statement.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) kind: &'static Kind,
    columns: Vec<Column>,
    keys: HashSet<Vec<Cell>>,
    rows: u64,
}

/// All rows of one call, by table and in order.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    tables: BTreeMap<Table, Vec<Group>>,
}

impl Writes {
    /// Adds a row.
    pub(crate) fn push<const N: usize>(&mut self, kind: &'static Kind, row: [Cell; N]) {
        let groups = self.tables.entry(kind.table).or_default();
        let key = &row[..kind.key_columns];
        match groups.last_mut().filter(|group| group.admits(kind, key)) {
            Some(group) => group.add(row),
            None => groups.push(Group::begin(kind, row)),
        }
    }

    /// The statements, in an order in which they may be sent. It is the same in every transaction, so
    /// that two of them rarely wait for each other's rows crosswise.
    pub(crate) fn into_groups(self) -> Vec<Group> {
        self.tables.into_values().flatten().collect()
    }
}

impl Group {
    fn begin<const N: usize>(kind: &'static Kind, row: [Cell; N]) -> Self {
        let mut group = Self {
            kind,
            columns: row.iter().map(Column::like).collect(),
            keys: HashSet::new(),
            rows: 0,
        };
        group.add(row);
        group
    }

    fn admits(&self, kind: &'static Kind, key: &[Cell]) -> bool {
        std::ptr::eq(self.kind, kind) && (key.is_empty() || !self.keys.contains(key))
    }

    fn add<const N: usize>(&mut self, row: [Cell; N]) {
        if self.kind.key_columns > 0 {
            self.keys.insert(row[..self.kind.key_columns].to_vec());
        }
        for (column, cell) in self.columns.iter_mut().zip(row) {
            column.push(cell);
        }
        self.rows += 1;
    }

    /// How many rows it writes.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// The statement's parameters.
    pub(crate) fn parameters(&self) -> Vec<&(dyn ToSql + Sync)> {
        self.columns.iter().map(Column::parameter).collect()
    }
}

impl Column {
    fn like(cell: &Cell) -> Self {
        match cell {
            Cell::Bytes(_) => Self::Bytes(Vec::new()),
            Cell::MaybeBytes(_) => Self::MaybeBytes(Vec::new()),
            Cell::Text(_) => Self::Text(Vec::new()),
            Cell::MaybeText(_) => Self::MaybeText(Vec::new()),
            Cell::Number(_) => Self::Number(Vec::new()),
            Cell::MaybeNumber(_) => Self::MaybeNumber(Vec::new()),
            Cell::Flag(_) => Self::Flag(Vec::new()),
        }
    }

    fn push(&mut self, cell: Cell) {
        match (self, cell) {
            (Self::Bytes(column), Cell::Bytes(cell)) => column.push(cell),
            (Self::MaybeBytes(column), Cell::MaybeBytes(cell)) => column.push(cell),
            (Self::Text(column), Cell::Text(cell)) => column.push(cell),
            (Self::MaybeText(column), Cell::MaybeText(cell)) => column.push(cell),
            (Self::Number(column), Cell::Number(cell)) => column.push(cell),
            (Self::MaybeNumber(column), Cell::MaybeNumber(cell)) => column.push(cell),
            (Self::Flag(column), Cell::Flag(cell)) => column.push(cell),
            (column, cell) => unreachable!("{cell:?} in a column of another type: {column:?}"),
        }
    }

    fn parameter(&self) -> &(dyn ToSql + Sync) {
        match self {
            Self::Bytes(column) => column,
            Self::MaybeBytes(column) => column,
            Self::Text(column) => column,
            Self::MaybeText(column) => column,
            Self::Number(column) => column,
            Self::MaybeNumber(column) => column,
            Self::Flag(column) => column,
        }
    }
}

#[cfg(test)]
mod tests;
