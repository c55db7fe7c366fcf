//! What people see in a terminal: `whofreed top`, and how far long work is.

#![expect(clippy::expect_used, reason = "a test may panic")]

mod common;
#[path = "terminal/progress.rs"]
mod progress;
#[path = "ttnn/setting.rs"]
mod setting;
#[path = "terminal/top.rs"]
mod top;
#[path = "terminal/window.rs"]
mod window;
