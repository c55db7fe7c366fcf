//! `whofreed adapters init`: a first adapter for a library, to be gone through by its author.

use std::path::PathBuf;

use clap::Args;

use super::check::read;
use crate::failure::Failure;
use crate::output;

/// The arguments of `whofreed adapters init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The library
    #[arg(value_name = "LIB")]
    library: PathBuf,
    /// What the adapter is called; without it, as the library
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Write to FILE, which must not be there yet, instead of stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Drafts an adapter.
pub(crate) fn init(args: &InitArgs) -> Result<u8, Failure> {
    let file = read(&args.library).map_err(Failure::ours)?;
    let text = whofreed_adapter::draft(&file, args.name.as_deref()).map_err(Failure::ours)?;
    match &args.output {
        Some(path) => output::to_new_file(path, &text)?,
        None => output::to_stdout(&text)?,
    }
    Ok(0)
}
