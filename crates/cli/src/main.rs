//! The `whofreed` command: runs a program under the shim, and reports on traces. Arguments, processes and files
//! are its matter; what a trace means is the matter of `whofreed-analysis`, how it reads that of
//! `whofreed-report`.
//!
//! Exit codes are decided here and nowhere else: see [`failure`] for those of whofreed itself.

mod adapters;
mod cache;
mod coverage;
mod diff;
mod events;
mod failure;
mod help;
mod here;
mod history;
mod html;
mod limits;
mod output;
mod progress;
mod report;
mod rules;
mod run;
mod standing;
mod symbols;
mod top;
mod traces;

use std::process::ExitCode;

use clap::CommandFactory;
use clap::Parser;
use clap::Subcommand;

use failure::Failure;

/// Names the call site that freed a buffer too often.
#[derive(Debug, Parser)]
#[command(name = "whofreed", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a command under whofreed, then report
    Run(Box<run::RunArgs>),
    /// Report on traces that were recorded
    Report(report::ReportArgs),
    /// Show the whole life of one address
    History(history::HistoryArgs),
    /// Watch a run while it goes on: rates, live bytes, excess frees and their culprits
    Top(top::TopArgs),
    /// Compare two runs: what a fix changed, and what is new
    Diff(diff::DiffArgs),
    /// Draft adapters, check them against libraries, list and show them
    Adapters(adapters::AdaptersArgs),
    /// Write completions for a shell to stdout
    Completions(help::CompletionsArgs),
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Manual(help::ManualArgs),
}

fn main() -> ExitCode {
    limits::survive();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to stdout, and are no failure; a reader that has gone away is none either.
            let code = if error.use_stderr() { failure::OURS } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    if !matches!(cli.command, Command::Run(_)) {
        limits::open_many();
    }
    let result = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Report(args) => report::report(&args),
        Command::History(args) => history::history(&args),
        Command::Top(args) => top::top(&args),
        Command::Diff(args) => diff::diff(&args),
        Command::Adapters(args) => adapters::adapters(&args),
        Command::Completions(args) => help::completions(&args, Cli::command()),
        Command::Manual(args) => help::manual(&args, Cli::command()),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(Failure { code, messages }) => {
            for message in messages {
                output::complain(&message);
            }
            ExitCode::from(code)
        }
    }
}
