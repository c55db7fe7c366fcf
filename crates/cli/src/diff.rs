//! `whofreed diff`: what a fix changed from one run to another, and what is new.

mod run;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use clap::Args;
use whofreed_analysis::diff::compare;

use crate::failure::Failure;
use crate::output;
use crate::output::PlainFormat;
use crate::symbols::SymbolArgs;
use crate::symbols::Symbols;

/// The arguments of `whofreed diff`.
#[derive(Debug, Args)]
#[command(after_help = "\
BEFORE and AFTER are one run each: a trace, a folder of traces, several of these with commas in
between, or a JSON report. A program that is built again in its place takes the names away from its
old traces, but for those that are still in the cache of an earlier report: keep the report of the
run before (run --report before.json --format json), and compare with that.

\"Clearly more\" is more than a tenth above what was to be expected, and more than two standard
deviations of what chance would make of it. Where the runs differ in length by more than a tenth,
what is to be expected is counted for each allocation.")]
pub(crate) struct DiffArgs {
    /// The first run
    before: OsString,
    /// The second run
    after: OsString,
    /// The form of the comparison
    #[arg(long, value_enum, default_value_t)]
    format: PlainFormat,
    /// Write to FILE instead of stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Exit with N when a culprit is new, or it or the whole run has clearly more excess frees
    #[arg(long, value_name = "N")]
    error_exitcode: Option<u8>,
    /// Show everything: every victim and leak, and the fingerprints
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    symbols: SymbolArgs,
}

/// Compares the runs.
pub(crate) fn diff(args: &DiffArgs) -> Result<u8, Failure> {
    let symbols = Symbols::new(args.symbols);
    let runs = (
        run::load(&args.before, &symbols),
        run::load(&args.after, &symbols),
    );
    let (before, after) = match runs {
        (Ok(before), Ok(after)) => (before, after),
        // Both have their lines, so that nobody has to mend one to hear of the other.
        (Err(mut failure), Err(other)) => {
            failure.messages.extend(other.messages);
            return Err(failure);
        }
        (Err(failure), _) | (_, Err(failure)) => return Err(failure),
    };
    let diff = compare(&before.analysis, &after.analysis);
    let mut page = match &args.output {
        Some(_) => output::page_of_file(),
        None => output::page_of(&io::stdout()),
    };
    page.verbose = args.verbose;
    for (name, run) in [("before", &before), ("after", &after)] {
        let notes = run.notes.iter();
        page.notes
            .extend(notes.map(|note| format!("{name}: {note}")));
    }
    page.trace_hint = after.shown;
    let text = match args.format {
        PlainFormat::Text => whofreed_report::diff_to_text(&diff, &page),
        PlainFormat::Json => whofreed_report::diff_to_json(&diff),
    };
    match &args.output {
        Some(path) => output::to_file(path, &text)?,
        None => output::to_stdout(&text)?,
    }
    Ok(match args.error_exitcode {
        Some(code) if diff.is_worse => code,
        _ => 0,
    })
}
