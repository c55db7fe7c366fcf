//! The promises of `docs/RELIABILITY.md`, broken on purpose: every test here makes faults or gives odd input, at a small
//! size in each test run and at full size by `cargo xtask soak reliability`, and fills a row of the document's matrix.

#[path = "../common/mod.rs"]
mod common;

mod calls;
mod crash;
mod denied;
mod disk;
mod limits;
mod unkind;
