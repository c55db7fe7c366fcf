//! `cargo xtask`: everything that is done with this workspace beyond what Cargo does alone.

mod artifacts;
mod bench;
mod demo;
mod dist;
mod figures;
mod fuzz;
mod hook_cost;
mod instructions;
mod mutants;
mod packages;
mod paths;
mod picture;
mod planted;
mod reliability;
mod run;
mod sanitize;
mod soak;
mod test;
mod ttnn;

use std::env;
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  demo             build and run the embedded C++ example: a planted bug, and who is blamed for it
  demo --ttnn      the same on the real TT-Metal runtime, on a mock board
  test [FILTER]    build, then run every test (those with FILTER in their names; of a test program: in=PROGRAM)
       --no-ttnn     but not those of the real TT-Metal runtime
  soak [NAME]      run what is too long for every test run, write its figures into docs/SOAK.md,
                   and the matrix of faults (reliability) into docs/RELIABILITY.md
  bench [TURNS [NAME]]  what recording costs (5 turns) beside other recorders, by the C interface, with more of everything, and
                   beside a socket, and by its stops: beside, api, growth, socket, primitives, or all of them; into
                   docs/PERFORMANCE.md
  instructions     how many instructions an event costs the host's thread
         --write     into docs/PERFORMANCE.md too
         --renew     into benches/instructions.toml, which the tests compare with
  fuzz [TARGET] [SECONDS]  give broken input to all that reads what others wrote, or to one target of fuzz/, for so long
                   (60 seconds) each; what is found lies in target/fuzz/artifacts
  mutants [PATH...]  plant faults in files or folders of a crate (crates/lifecycle), write into docs/MUTANTS.md which
                   no test notices
          --again PATH...      only those that were not noticed the last time; for when tests were added since
          --table PATH         write down what a run that was stopped has noted
          --one-by-one PATH    with a build for each, for what cannot be planted together
          --in-diff REVISION   only in the lines that changed since; fail when no test notices one
  planted [NAME]   plant each of a list of faults that tests of lock-free code and of crashes are for, and see a test turn red;
                   all of them: into docs/RELIABILITY.md
  picture          take the pictures of the HTML report that the README shows: of the embedded example, in a headless Chromium
  sanitize         run the tests of the core, and of what reads what others wrote, under AddressSanitizer
  dist             make an archive for people without Cargo, in target/dist: command, library, headers, packages for CMake and
                   pkg-config, adapters, manual, completions, licences
  header           write include/whofreed.h from the sources
         --check     only say whether it is fresh
  ttnn-setup [VERSION]  install the TT-Metal runtime (of this version of ttnn: 0.81.1, 0.73.1 or 0.67.4) with mock boards
                   under target/, print its environment
  help             this text
";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["demo", rest @ ..] => demo::command(rest),
        ["test", rest @ ..] => test::command(rest),
        ["soak", rest @ ..] => soak::command(rest),
        ["bench", rest @ ..] => bench::command(rest),
        ["instructions", rest @ ..] => instructions::command(rest),
        ["fuzz", rest @ ..] => fuzz::command(rest),
        ["mutants", rest @ ..] => mutants::command(rest),
        ["planted", rest @ ..] => planted::command(rest),
        ["dist"] => dist::command(),
        ["picture"] => picture::command(),
        ["sanitize"] => sanitize::command(),
        ["header"] => artifacts::write_header(),
        ["header", "--check"] => artifacts::check_header(),
        ["ttnn-setup"] => ttnn::command(None),
        ["ttnn-setup", version] => ttnn::command(Some(version)),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            Ok(())
        }
        other => Err(format!("`{}` is not a command\n\n{HELP}", other.join(" "))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}
