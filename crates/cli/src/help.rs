//! What an archive of whofreed has for people who look a command up: completions for shells, and manual pages.

use std::path::PathBuf;

use clap::Args;
use clap::Command;
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output;
use crate::output::shown;

/// The arguments of `whofreed completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    shell: Shell,
}

/// The arguments of `whofreed manual`.
#[derive(Debug, Args)]
pub(crate) struct ManualArgs {
    /// A folder for one page of each command
    folder: PathBuf,
}

/// Writes what a shell has to read to know our arguments, to stdout.
pub(crate) fn completions(args: &CompletionsArgs, mut command: Command) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "whofreed", &mut script);
    output::to_stdout(&script)?;
    Ok(0)
}

/// Writes the manual, a page for each command.
pub(crate) fn manual(args: &ManualArgs, command: Command) -> Result<u8, Failure> {
    clap_mangen::generate_to(command, &args.folder)
        .map_err(|error| Failure::ours(format!("{}: {error}", shown(&args.folder))))?;
    Ok(0)
}
