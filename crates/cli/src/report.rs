//! `whofreed report`: what one or several traces say, any time after the recording.

use std::io;
use std::path::PathBuf;

use clap::Args;
use whofreed_analysis::Rules;

use crate::coverage;
use crate::failure::Failure;
use crate::output;
use crate::output::Findings;
use crate::output::ReportFormat;
use crate::rules;
use crate::symbols::SymbolArgs;
use crate::symbols::Symbols;
use crate::traces;

/// The arguments of `whofreed report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Trace files; several (ranks, children) are merged
    #[arg(required = true, value_name = "TRACE")]
    traces: Vec<PathBuf>,
    /// The form of the report
    #[arg(long, value_enum, default_value_t)]
    format: ReportFormat,
    /// Write to FILE instead of stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Exit with N when there are excess frees
    #[arg(long, value_name = "N")]
    error_exitcode: Option<u8>,
    /// Rules about which frames name nobody, and what culprits are: docs/blame.md; the last one goes first
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Show everything: whole stacks and names, every culprit, victim, leak and hook
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    symbols: SymbolArgs,
}

/// Reports on the traces.
pub(crate) fn report(args: &ReportArgs) -> Result<u8, Failure> {
    let own = rules::of_files(&args.rules)?;
    let traces = traces::load(&args.traces)?;
    let symbols = Symbols::new(args.symbols);
    let names = symbols.resolver(&traces);
    let rules = Rules::of(&traces).and(own);
    let mut findings = Findings::of(&traces, &names, &rules, args.format);
    coverage::settle(&mut findings.analysis.coverage);
    let mut page = match &args.output {
        Some(_) => output::page_of_file(),
        None => output::page_of(&io::stdout()),
    };
    page.verbose = args.verbose;
    page.traces = traces::by_process(&args.traces, |path| path.display().to_string());
    page.notes = names.notes();
    let text = output::render(&findings, args.format, &page);
    match &args.output {
        Some(path) => output::to_file(path, &text)?,
        None => output::to_stdout(&text)?,
    }
    names.keep();
    Ok(match args.error_exitcode {
        Some(code) if findings.analysis.totals.excess > 0 => code,
        _ => 0,
    })
}
