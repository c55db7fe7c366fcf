//! `whofreed report`: what one or several traces say, any time after the recording.

use std::io;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Args;
use whofreed_analysis::Analysis;
use whofreed_analysis::Rules;

use crate::coverage;
use crate::events;
use crate::failure::Failure;
use crate::failure::OURS;
use crate::output;
use crate::output::Findings;
use crate::output::Format;
use crate::progress::Progress;
use crate::rules;
use crate::standing::StandingArgs;
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
    format: Format,
    /// Write to FILE instead of stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Exit with N when there are excess frees that are neither suppressed nor in the baseline; with 125 when no event of a
    /// damaged trace could be read
    #[arg(long, value_name = "N")]
    error_exitcode: Option<u8>,
    /// Rules about which frames name nobody, and what culprits are: docs/blame.md; the last one goes first
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    #[command(flatten)]
    standing: StandingArgs,
    /// Show so many culprits with their stacks [default: as many as a screen has room for]
    #[arg(long, value_name = "N")]
    culprits: Option<usize>,
    /// Show everything: whole stacks and names, every culprit, victim, leak and hook
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    symbols: SymbolArgs,
}

/// Reports on the traces.
pub(crate) fn report(args: &ReportArgs) -> Result<u8, Failure> {
    let own = rules::of_files(&args.rules)?;
    let standing = args.standing.read()?;
    let progress = Progress::begin();
    let traces = traces::load(&args.traces, &progress)?;
    let symbols = Symbols::new(args.symbols);
    let names = symbols.resolver(&traces).with_watcher(&progress);
    if args.format.is_of_events() {
        if args.output.is_none() && io::stdout().is_terminal() {
            progress.end();
        }
        events::write(&traces, &names, args.format, args.output.as_deref())?;
        names.keep();
    }
    // Events are told without an answer; only for a code one is looked for.
    let needs_answer = args.error_exitcode.is_some() || args.standing.wants_lines();
    if args.format.is_of_events() && !needs_answer {
        return Ok(0);
    }
    let rules = Rules::of(&traces).and(own);
    let mut findings = Findings::of(&traces, &names, &rules, args.format);
    coverage::settle(&mut findings.analysis.coverage);
    standing.apply(&mut findings.analysis);
    progress.end();
    args.standing.write_lines(&findings.analysis)?;
    let mut page = match &args.output {
        Some(_) => output::page_of_file(),
        None => output::page_of(&io::stdout()),
    };
    page.verbose = args.verbose;
    page.culprits = args.culprits;
    page.traces = traces::by_process(&args.traces, |path| path.display().to_string());
    page.notes = names.notes();
    if args.format.is_of_events() {
        return Ok(code(args, &findings.analysis));
    }
    let text = output::render(&findings, args.format, &page);
    match &args.output {
        Some(path) => output::to_file(path, &text)?,
        None if args.standing.lines_to_stdout() => {}
        None => output::to_stdout(&text)?,
    }
    names.keep();
    Ok(code(args, &findings.analysis))
}

fn code(args: &ReportArgs, analysis: &Analysis) -> u8 {
    match args.error_exitcode {
        Some(code) if analysis.unsettled() > 0 => code,
        // Nothing is known of the run: who wanted to know whether it failed must not be told that it has not.
        Some(_) if analysis.totals.events == 0 && !analysis.damage.is_empty() => OURS,
        _ => 0,
    }
}
