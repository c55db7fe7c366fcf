//! `cargo xtask`: everything that is done with this workspace beyond what cargo does alone.

mod paths;
mod run;
mod ttnn;

use std::env;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  ttnn-setup       install the TT-Metal runtime with mock boards under target/, print its environment
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["ttnn-setup"] => ttnn::command(),
        _ => Err(HELP.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
