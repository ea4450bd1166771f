//! Tests of the store on a Postgres of their own; one program, so that they can share it.

mod callers;
mod conformance;
mod crash;
mod databases;
mod migrations;
mod nodes;
mod round_trips;
mod server;
