//! `whofreed adapters`: what whofreed brings along, as an example for adapters of one's own.

use clap::Args;
use clap::Subcommand;

use crate::failure::Failure;
use crate::output;

/// The arguments of `whofreed adapters`.
#[derive(Debug, Args)]
pub(crate) struct AdaptersArgs {
    #[command(subcommand)]
    command: Option<AdaptersCommand>,
}

#[derive(Debug, Subcommand)]
enum AdaptersCommand {
    /// List the names
    List,
    /// Print the TOML of one
    Show {
        /// The adapter's name
        name: String,
    },
}

/// Lists the adapters or shows one.
pub(crate) fn adapters(args: &AdaptersArgs) -> Result<u8, Failure> {
    match &args.command {
        None | Some(AdaptersCommand::List) => {
            let mut text = whofreed_adapter::names().join("\n");
            if !text.is_empty() {
                text.push('\n');
            }
            output::to_stdout(&text)?;
        }
        Some(AdaptersCommand::Show { name }) => {
            let Some(source) = whofreed_adapter::source(name) else {
                return Err(Failure::ours(format!(
                    "unknown adapter {name}; there are: {}",
                    whofreed_adapter::names().join(", ")
                )));
            };
            output::to_stdout(source)?;
        }
    }
    Ok(0)
}
