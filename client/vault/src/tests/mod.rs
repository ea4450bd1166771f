//! Devices and a tiny hub, in virtual time: what the vault does with real groups.

mod cost;
mod hub;
mod phone;
mod rooms;
mod sending;
mod trouble;
