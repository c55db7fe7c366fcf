//! `whofreed history`: the whole life of one address, and which of its frees are charged to a culprit.

use std::io;
use std::path::PathBuf;

use clap::Args;
use whofreed_analysis::Rules;

use crate::failure::Failure;
use crate::output;
use crate::output::PlainFormat;
use crate::progress::Progress;
use crate::rules;
use crate::symbols::SymbolArgs;
use crate::symbols::Symbols;
use crate::traces;

/// The arguments of `whofreed history`.
#[derive(Debug, Args)]
pub(crate) struct HistoryArgs {
    /// Trace files; several (ranks, children) are merged
    #[arg(required = true, value_name = "TRACE")]
    traces: Vec<PathBuf>,
    /// The device's number
    #[arg(long, value_name = "D")]
    device: u32,
    /// The address: a decimal number, or a hexadecimal one with 0x
    #[arg(long, value_name = "A", value_parser = address)]
    address: u64,
    /// The form of the history
    #[arg(long, value_enum, default_value_t)]
    format: PlainFormat,
    /// Rules as they were given to the report, so that its culprits have the same numbers here
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Show whole stacks
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    symbols: SymbolArgs,
}

/// Shows the history.
pub(crate) fn history(args: &HistoryArgs) -> Result<u8, Failure> {
    let own = rules::of_files(&args.rules)?;
    let progress = Progress::begin();
    let traces = traces::load(&args.traces, &progress)?;
    let symbols = Symbols::new(args.symbols);
    let names = symbols.resolver(&traces).with_watcher(&progress);
    let rules = Rules::of(&traces).and(own);
    let steps =
        whofreed_analysis::history_with_blame(&traces, &names, &rules, args.device, args.address);
    let text = match args.format {
        PlainFormat::Json => whofreed_report::history_to_json(&steps, &names),
        PlainFormat::Text => {
            let mut page = output::page_of(&io::stdout());
            page.verbose = args.verbose;
            whofreed_report::history_to_text(&steps, &names, args.device, args.address, &page)
        }
    };
    progress.end();
    output::to_stdout(&text)?;
    names.keep();
    Ok(0)
}

/// An address as people write it.
fn address(text: &str) -> Result<u64, String> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    match digits {
        // `from_str_radix` would take a sign as well.
        Some(digits) if digits.starts_with('+') => Err("is no hexadecimal number".to_owned()),
        Some(digits) => u64::from_str_radix(digits, 16).map_err(|error| error.to_string()),
        None => text.parse().map_err(|error| format!("{error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::address;

    #[test]
    fn addresses_are_decimal_or_hexadecimal() {
        assert_eq!(address("694960736"), Ok(694_960_736));
        assert_eq!(address("0x296c2660"), Ok(0x296c_2660));
        assert_eq!(address("0"), Ok(0));
        assert_eq!(address("18446744073709551615"), Ok(u64::MAX));
        for wrong in ["", "0x", "0x+1", "-1", "12a", "18446744073709551616"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
