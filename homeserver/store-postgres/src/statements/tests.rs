//! Every statement keeps to constructs that were looked up for Citus, YugabyteDB and CockroachDB.
//!
//! The lists below are what is allowed; `docs/operations/scaling.md` says for each where the three
//! document it, where nothing was found, and what has to be set up differently. Whatever is not on a
//! list is refused, so that a new construct is looked up before it is used.

use std::collections::BTreeSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use refinery_core::AsyncMigrate;
use sqlparser::ast::{
    BinaryOperator, ColumnOption, CreateTable, DataType, Expr, Function, Insert, JoinConstraint,
    JoinOperator, LockType, OnConflictAction, OnInsert, Query, Select, SetExpr, Statement,
    TableConstraint, TableFactor, UnaryOperator, Visit, Visitor,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::ALL;
use crate::migrate::Within;

const FUNCTIONS: &[&str] = &[
    "coalesce",
    "count",
    "current_schema",
    "current_setting",
    "max",
    "octet_length",
    "set_config",
    "sum",
    "unnest",
];
/// Words that stand for what one of the engines lacks, or that would make writers wait for each other.
const FORBIDDEN: &[&str] = &[
    "advisory",
    "listen",
    "notify",
    "skip locked",
    "nowait",
    "lock table",
    "returning",
    "with recursive",
    "lateral",
    "tablesample",
    "ctid",
    "xmin",
    "nextval",
    "merge",
    "copy",
    "truncate",
    "trigger",
    "references",
    "create function",
    "do $$",
];

#[derive(Default)]
struct Judge {
    refused: Vec<String>,
}

impl Judge {
    fn refuse(&mut self, what: impl ToString) {
        self.refused.push(what.to_string());
    }

    fn demand(&mut self, holds: bool, what: impl ToString) {
        if !holds {
            self.refuse(what);
        }
    }

    fn statement(&mut self, statement: &Statement) {
        match statement {
            Statement::StartTransaction { .. }
            | Statement::Commit { .. }
            | Statement::Rollback { .. }
            | Statement::Query(_) => {}
            Statement::Insert(insert) => self.insert(insert),
            Statement::Update(update) => {
                self.demand(update.returning.is_none() && update.limit.is_none(), update);
            }
            Statement::Delete(delete) => {
                self.demand(delete.returning.is_none() && delete.limit.is_none(), delete);
            }
            Statement::CreateTable(table) => self.table(table),
            Statement::CreateIndex(index) => {
                let whole = index.predicate.is_none() && index.include.is_empty();
                let plain = whole && !index.concurrently;
                self.demand(plain && index.with.is_empty(), index);
            }
            other => self.refuse(other),
        }
    }

    fn insert(&mut self, insert: &Insert) {
        self.demand(insert.returning.is_none(), insert);
        match &insert.on {
            None => {}
            Some(OnInsert::OnConflict(conflict)) => match &conflict.action {
                OnConflictAction::DoNothing => {}
                OnConflictAction::DoUpdate(update) => {
                    let targeted = conflict.conflict_target.is_some();
                    self.demand(targeted && update.selection.is_none(), insert);
                }
            },
            Some(other) => self.refuse(format!("{other:?}")),
        }
    }

    fn table(&mut self, table: &CreateTable) {
        let plain = !table.temporary && table.inherits.is_none() && table.partition_by.is_none();
        self.demand(plain, table);
        for column in &table.columns {
            self.data_type(&column.data_type);
            for option in &column.options {
                let known = matches!(
                    option.option,
                    ColumnOption::NotNull
                        | ColumnOption::PrimaryKey(_)
                        | ColumnOption::Unique(_)
                        | ColumnOption::Collation(_)
                );
                self.demand(known, option);
            }
        }
        for constraint in &table.constraints {
            let known = matches!(
                constraint,
                TableConstraint::PrimaryKey(_) | TableConstraint::Check(_)
            );
            self.demand(known, constraint);
        }
    }

    fn data_type(&mut self, data_type: &DataType) {
        match data_type {
            DataType::Bytea
            | DataType::Text
            | DataType::BigInt(None)
            | DataType::Integer(None)
            | DataType::Int4(None)
            | DataType::Varchar(_)
            | DataType::Boolean => {}
            DataType::Array(of) => match of {
                sqlparser::ast::ArrayElemTypeDef::SquareBracket(of, None) => self.data_type(of),
                other => self.refuse(format!("{other:?}")),
            },
            other => self.refuse(other),
        }
    }

    fn function(&mut self, function: &Function) {
        let name = function.name.to_string().to_lowercase();
        let plain = function.filter.is_none() && function.within_group.is_empty();
        let known = FUNCTIONS.contains(&name.as_str());
        self.demand(known && plain, function);
    }

    fn select(&mut self, select: &Select) {
        let plain = select.having.is_none()
            && select.lateral_views.is_empty()
            && select.named_window.is_empty()
            && select.qualify.is_none()
            && select.top.is_none();
        self.demand(plain, select);
        for from in &select.from {
            for join in &from.joins {
                let known = match &join.join_operator {
                    JoinOperator::Join(on) | JoinOperator::Inner(on) => {
                        matches!(on, JoinConstraint::On(_))
                    }
                    _ => false,
                };
                self.demand(known, join);
            }
        }
    }
}

impl Visitor for Judge {
    type Break = ();

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        self.statement(statement);
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let shape = matches!(
            &*query.body,
            SetExpr::Select(_) | SetExpr::Values(_) | SetExpr::Query(_)
        );
        self.demand(
            shape && query.with.is_none() && query.fetch.is_none(),
            query,
        );
        for lock in &query.locks {
            let plain = lock.lock_type == LockType::Update && lock.nonblock.is_none();
            self.demand(plain, lock);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.select(select);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let known = matches!(
            factor,
            TableFactor::Table { .. }
                | TableFactor::UNNEST { .. }
                | TableFactor::Derived { lateral: false, .. }
        );
        self.demand(known, factor);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(_)
            | Expr::CompoundIdentifier(_)
            | Expr::Value(_)
            | Expr::Nested(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_) => {}
            Expr::Cast { data_type, .. } => self.data_type(data_type),
            Expr::Function(function) => self.function(function),
            Expr::UnaryOp { op, .. } => self.demand(*op == UnaryOperator::Not, expr),
            Expr::BinaryOp { op, .. } => {
                let known = matches!(
                    op,
                    BinaryOperator::Eq
                        | BinaryOperator::NotEq
                        | BinaryOperator::Lt
                        | BinaryOperator::LtEq
                        | BinaryOperator::Gt
                        | BinaryOperator::GtEq
                        | BinaryOperator::And
                        | BinaryOperator::Or
                        | BinaryOperator::Plus
                        | BinaryOperator::Minus
                );
                self.demand(known, expr);
            }
            other => self.refuse(other),
        }
        ControlFlow::Continue(())
    }
}

/// What is not allowed of a text of statements.
fn judge(sql: &str) -> Vec<String> {
    let mut judge = Judge::default();
    match Parser::parse_sql(&PostgreSqlDialect {}, sql) {
        Ok(statements) => _ = statements.visit(&mut judge),
        Err(error) => judge.refuse(error),
    }
    let plain = sql
        .lines()
        .filter(|line| !line.starts_with("--"))
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase();
    for word in FORBIDDEN {
        judge.demand(!plain.contains(word), format!("`{word}`"));
    }
    judge.refused
}

/// What refinery itself says to the database.
fn of_refinery() -> [String; 2] {
    let table = "refinery_schema_history";
    [
        Within::assert_migrations_table_query(table),
        Within::get_applied_migrations_query(table),
    ]
}

#[test]
fn every_statement_is_made_of_what_is_on_the_lists() {
    for (name, sql) in ALL {
        assert_eq!(judge(sql), Vec::<String>::new(), "{name}");
    }
    for sql in of_refinery() {
        assert_eq!(judge(&sql), Vec::<String>::new(), "{sql}");
    }
}

#[test]
fn so_is_every_migration() {
    for (name, sql) in crate::migrate::MIGRATIONS {
        assert_eq!(judge(sql), Vec::<String>::new(), "{name}");
    }
}

/// A rule that cannot fail holds nothing.
#[test]
fn what_is_not_on_the_lists_is_refused() {
    for sql in [
        "SELECT pg_advisory_xact_lock(1)",
        "SELECT id FROM t FOR UPDATE SKIP LOCKED",
        "SELECT id FROM t FOR SHARE",
        "LISTEN rooms",
        "NOTIFY rooms",
        "LOCK TABLE t",
        "TRUNCATE t",
        "INSERT INTO t (a) VALUES (1) RETURNING a",
        "INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2 WHERE t.a = 1",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "SELECT a FROM t WHERE a LIKE 'x'",
        "SELECT a FROM t WHERE a = ANY($1)",
        "SELECT now()",
        "SELECT a FROM t LEFT JOIN u ON t.a = u.a",
        "SELECT a FROM t UNION ALL SELECT a FROM u",
        "SELECT a FROM t, LATERAL (SELECT 1) AS u",
        "CREATE TABLE t (a SERIAL)",
        "CREATE TABLE t (a JSONB)",
        "CREATE TABLE t (a BIGINT DEFAULT 1)",
        "CREATE TABLE t (a BIGINT REFERENCES u (a))",
        "CREATE INDEX CONCURRENTLY i ON t (a)",
        "CREATE INDEX i ON t (a) WHERE a IS NOT NULL",
        "this is no SQL",
    ] {
        assert_ne!(judge(sql), Vec::<String>::new(), "{sql}");
    }
}

/// The names of statements and of migrations are in order where a reader looks for them.
#[test]
fn names_and_numbers_are_without_doubles_or_gaps() {
    let names: BTreeSet<&str> = ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), ALL.len());
    for (number, (name, _)) in (1..).zip(crate::migrate::MIGRATIONS) {
        assert!(name.starts_with(&format!("V{number}__")), "{name}");
    }
}

#[test]
fn no_other_file_speaks_sql() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|ending| ending != "rs") || path.ends_with("statements.rs") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for verb in [
            "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "BEGIN", "SET",
        ] {
            let begins = format!("\"{verb} ");
            assert!(!text.contains(&begins), "{begins} in {}", path.display());
        }
        seen += 1;
    }
    assert!(seen > 8, "the files were found");
}
