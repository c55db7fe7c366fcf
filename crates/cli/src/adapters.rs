//! `whofreed adapters`: what can be hooked by name, and what it takes to write an adapter of one's own.

mod check;
mod init;

use clap::Args;
use clap::Subcommand;
use whofreed_adapter::Known;
use whofreed_adapter::Origin;

use crate::failure::Failure;
use crate::output;
use crate::output::shown;

/// The arguments of `whofreed adapters`.
#[derive(Debug, Args)]
pub(crate) struct AdaptersArgs {
    #[command(subcommand)]
    command: Option<AdaptersCommand>,
}

#[derive(Debug, Subcommand)]
enum AdaptersCommand {
    /// List the names, and where each comes from
    List,
    /// Print the TOML of one
    Show {
        /// The adapter's name
        name: String,
    },
    /// Hold adapters against libraries: what would be seen, what not, and why
    Check(check::CheckArgs),
    /// Draft an adapter from the names that a library exports
    Init(init::InitArgs),
    /// Print the JSON Schema of adapters, for editors
    Schema,
}

/// Carries out `whofreed adapters`.
pub(crate) fn adapters(args: &AdaptersArgs) -> Result<u8, Failure> {
    match &args.command {
        None | Some(AdaptersCommand::List) => {
            output::to_stdout(&listed(&whofreed_adapter::known()))?;
        }
        Some(AdaptersCommand::Show { name }) => {
            let text = whofreed_adapter::text_of(name).map_err(Failure::ours)?;
            output::to_stdout(&text)?;
        }
        Some(AdaptersCommand::Check(args)) => return check::check(args),
        Some(AdaptersCommand::Init(args)) => return init::init(args),
        Some(AdaptersCommand::Schema) => output::to_stdout(whofreed_adapter::SCHEMA)?,
    }
    Ok(0)
}

/// One line for each: the name, and where it comes from.
fn listed(known: &[Known]) -> String {
    let widths = known.iter().map(|one| one.name.chars().count());
    let width = widths.max().unwrap_or(0);
    let lines = known.iter().map(|one| {
        let origin = match &one.origin {
            Origin::Shipped => "shipped".to_owned(),
            Origin::File(path) => shown(path),
        };
        format!(
            "{:width$}  {origin}\n",
            whofreed_report::printable(&one.name)
        )
    });
    lines.collect()
}
