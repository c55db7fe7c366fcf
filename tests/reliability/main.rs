//! The promises of `docs/RELIABILITY.md`, broken on purpose: every test here makes faults or gives odd input, at a small
//! size in each test run and at full size by `cargo xtask soak reliability`, and fills a row of the document's matrix.

#[path = "../common/mod.rs"]
mod common;

mod calls;
mod children;
mod corrupt;
mod crash;
mod credentials;
mod denied;
mod disk;
mod forks;
mod guarded;
mod heap;
mod killed;
mod life;
mod limits;
mod linking;
mod loader;
mod names;
mod overload;
mod pages;
mod places;
mod programs;
mod reports;
mod security;
mod short_threads;
mod surroundings;
mod taken;
mod unkind;
