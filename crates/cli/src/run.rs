//! `whofreed run`: runs a command under the shim, gathers the traces of it and its children, and reports.

mod command;
mod files;
mod finish;
mod hooks;
mod keeper;
mod library;
mod options;
mod pipes;
mod process;
mod tally;

use std::env;
use std::ffi::OsString;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use clap::Args;
use clap::ValueEnum;
use whofreed_analysis::Analysis;
use whofreed_analysis::Rules;
use whofreed_report::Found;
use whofreed_report::TextOptions;
use whofreed_trace::Process;

use crate::coverage;
use crate::events;
use crate::failure::Failure;
use crate::here;
use crate::limits;
use crate::output;
use crate::output::Findings;
use crate::output::Format;
use crate::output::complain;
use crate::progress::Progress;
use crate::rules;
use crate::standing::StandingArgs;
use crate::symbols::SymbolArgs;
use crate::symbols::Symbols;
use crate::traces;
use crate::traces::FileTrace;

use files::TraceName;
use hooks::Hooks;
use keeper::Held;
use keeper::Keeper;
use options::Options;
use process::Ended;
use tally::Tally;

/// The arguments of `whofreed run`. All that have no doubt about them are also keys of WHOFREED_OPTIONS.
#[derive(Debug, Args)]
#[command(after_help = "\
The exit code is the command's own (128 + the signal when it was killed), or that of
--error-exitcode; 125 when whofreed itself failed, 126 when the command cannot be run, 127 when it
was not found.")]
pub(crate) struct RunArgs {
    /// Where the trace goes; %p is the process id [default: whofreed.PROGRAM.PID.wft in this folder]
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Write the report to FILE instead of stderr
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The form of the report [default: text]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Do not let excess frees reach the real function; in a linked host they are only counted [default: 0]
    #[arg(long, value_name = "0|1", num_args = 0..=1, require_equals = true, default_missing_value = "1",
          value_parser = SWITCH)]
    guard: Option<String>,
    /// Exit with N when there are excess frees that are neither suppressed nor in the baseline [default: the command's own exit code]
    #[arg(long, value_name = "N")]
    error_exitcode: Option<u8>,
    /// Where libwhofreed.so is [default: beside whofreed, then in ../lib]
    #[arg(long, value_name = "PATH")]
    shim: Option<PathBuf>,
    /// What is hooked: names, paths of TOML files, auto, none; separated by commas [default: auto]
    #[arg(long, value_name = "LIST")]
    adapters: Option<String>,
    /// Rules about which frames name nobody, and what culprits are: docs/blame.md; the last one goes first
    #[arg(long, value_name = "FILE")]
    rules: Vec<PathBuf>,
    /// Which stacks are recorded: of all events, or of excess frees only [default: all]
    #[arg(long, value_name = "WHICH", value_parser = ["all", "excess"])]
    stacks: Option<String>,
    /// The most frames of a stack (of allocates and first frees) [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    depth: Option<u16>,
    /// What happens when events come faster than they can be kept: the trace grows, or they are dropped and counted [default: grow]
    #[arg(long, value_name = "WHAT", value_parser = ["grow", "drop"])]
    overflow: Option<String>,
    /// What happens in the host at an excess free [default: record]
    #[arg(long, value_name = "WHAT", value_parser = ["record", "print", "trap", "abort"])]
    on_excess: Option<String>,
    /// Whether child processes are recorded too [default: 1]
    #[arg(long, value_name = "0|1", value_parser = SWITCH)]
    follow_children: Option<String>,
    /// Whether a linked host prints a summary at its exit [default: 1]
    #[arg(long, value_name = "0|1", value_parser = SWITCH)]
    summary: Option<String>,
    /// Record all of the command line, not its first word alone [default: 0]
    #[arg(long, value_name = "0|1", num_args = 0..=1, require_equals = true, default_missing_value = "1",
          value_parser = SWITCH)]
    record_args: Option<String>,
    /// Unwind every stack a second time, by the C++ runtime's unwinder, and say at the end how many differ [default: 0]
    #[arg(long, value_name = "0|1", num_args = 0..=1, require_equals = true, default_missing_value = "1",
          value_parser = SWITCH)]
    check_stacks: Option<String>,
    /// Show everything: whole stacks and names, every culprit, victim, leak and hook
    #[arg(long, short)]
    verbose: bool,
    #[command(flatten)]
    symbols: SymbolArgs,
    #[command(flatten)]
    standing: StandingArgs,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

const SWITCH: [&str; 2] = ["0", "1"];

/// Runs the command and reports; the result is the exit code.
pub(crate) fn run(args: &RunArgs) -> Result<u8, Failure> {
    let program = &args.command[0];
    let file = command::resolve(program)?;
    let mut options = Options::new(env::var_os(options::VARIABLE));
    let adapters = match &args.adapters {
        Some(adapters) => adapters.clone(),
        None => match options.get("adapters") {
            Some(adapters) => adapters.to_string_lossy().into_owned(),
            None => "auto".to_owned(),
        },
    };
    let wanted = match (&args.trace, options.get("trace")) {
        (Some(path), _) => path.clone(),
        (None, Some(path)) => PathBuf::from(path),
        (None, None) => format!("whofreed.{}.%p.wft", command::plain_name(program)).into(),
    };
    let format = match args.format {
        Some(format) => format,
        None => format_of(&options),
    };
    let report = args
        .report
        .clone()
        .or_else(|| options.get("report").map(PathBuf::from));

    match &report {
        Some(report) => output::check_file(report)?,
        None if format.needs_file() => {
            return Err(Failure::ours("this --format needs a file: --report FILE"));
        }
        None => {}
    }
    let own = rules::of_adapters(&adapters)?.and(rules::of_files(&args.rules)?);
    let standing = args.standing.read()?;
    let shim = files::shim(args.shim.as_deref())?;
    let trace = TraceName::prepare(&wanted)?;
    let hooks = match whofreed_adapter::build(&adapters).map_err(Failure::ours)? {
        Some(library) => Some(Hooks::store(&library)?),
        None => None,
    };
    let session = session()?;

    for (key, value) in flags(args) {
        options.add(key, value.as_bytes());
    }
    if options.get("guard").is_some_and(|value| value == "1") {
        warn_of_no_guard(&adapters);
    }
    options.add("run", b"1");
    options.add("session", format!("{session:x}").as_bytes());
    let tally = Tally::new();
    if let Some(tally) = &tally {
        options.add("tally", tally.option().as_bytes());
    }
    options.add("trace", &trace.option);
    let environment = vec![
        (options::VARIABLE, options.finish()),
        (
            "LD_PRELOAD",
            preload(&shim, hooks.as_ref().map(Hooks::path)),
        ),
    ];
    let keeper = tally
        .as_ref()
        .and_then(|tally| Keeper::start(tally, session));
    let ended = process::run(&file, &args.command, &environment)?;
    drop(hooks);
    limits::open_many();

    if let Some(tally) = &tally {
        tally.end();
    }
    let held = keeper.map(Keeper::end).unwrap_or_default();
    traces::settle(&trace.directory, session);
    let left = traces::of_session(&trace.directory, trace.prefix(), session);
    let taken = keeper::look_at_end(held, &left, &ended);
    let mut paths = left.clone();
    paths.extend(taken.iter().map(Held::sure_path));
    for path in &paths {
        finish::note_exit(path, &ended);
    }
    let progress = Progress::begin();
    let traces = load(&paths, ended.pid, &progress);
    let symbols = Symbols::new(args.symbols);
    let names = symbols.resolver(&traces).with_watcher(&progress);
    let mut findings = if traces.is_empty() {
        nothing_recorded(args, &ended, &adapters).into()
    } else {
        Findings::of(&traces, &names, &Rules::of(&traces).and(own), format)
    };
    let analysis = &mut findings.analysis;
    coverage::settle(&mut analysis.coverage);
    standing.apply(analysis);
    let mut page = match &report {
        Some(_) => output::page_of_file(),
        None => output::page_of(&io::stderr()),
    };
    page.verbose = args.verbose;
    page.named_adapters = named(&adapters);
    page.notes = names.notes();
    page.traces = traces::by_process(&left, here::from_here);
    page.traces.sort_by_key(|(pid, _)| *pid != ended.pid);
    page.left_traces = true;
    page.found = if !traces.is_empty() {
        Found::Traces
    } else if !paths.is_empty() {
        Found::Unreadable
    } else {
        Found::Nothing
    };
    let untold = tally.as_ref().map_or(0, Tally::untold);
    if untold > 0 {
        let what = match untold {
            1 => "1 event was".to_owned(),
            more => format!("{more} events were"),
        };
        complain(&format!("{what} lost, and no trace tells of them"));
        analysis.totals.dropped_events += untold;
    }
    let excess = analysis.totals.excess;
    let counted = tally.map_or(0, |tally| tally.excess()).max(excess);
    if counted > excess {
        let what = match counted - excess {
            1 => "1 excess free is".to_owned(),
            more => format!("{more} excess frees are"),
        };
        complain(&format!(
            "{what} in no trace that could be read: counted, not kept"
        ));
    }
    if let (true, Some(file)) = (format.is_of_events(), &report) {
        events::write(&traces, &names, format, Some(file))?;
    }
    progress.end();
    show(&findings, format, &page, report.as_deref())?;
    let analysis = &findings.analysis;
    args.standing.write_lines(analysis)?;
    names.keep();
    Ok(match args.error_exitcode {
        Some(code) if analysis.unsettled() + (counted - excess) > 0 => code,
        _ => ended.code(),
    })
}

/// Says of which adapters a guard would hold nothing back.
fn warn_of_no_guard(adapters: &str) {
    let asked = adapters.split(',').map(str::trim);
    for adapter in asked.filter(|&adapter| whofreed_adapter::can_guard(adapter) == Some(false)) {
        complain(&format!(
            "--guard holds nothing back of adapter {adapter}: no hook of it says what is returned then (`guard = N`)"
        ));
    }
}

/// The flags that the shim is to know, by their keys.
fn flags(args: &RunArgs) -> Vec<(&'static str, String)> {
    [
        ("guard", args.guard.clone()),
        ("stacks", args.stacks.clone()),
        ("depth", args.depth.map(|depth| depth.to_string())),
        ("overflow", args.overflow.clone()),
        ("on_excess", args.on_excess.clone()),
        ("follow_children", args.follow_children.clone()),
        ("summary", args.summary.clone()),
        ("record_args", args.record_args.clone()),
        ("check_stacks", args.check_stacks.clone()),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key, value?)))
    .collect()
}

fn format_of(options: &Options) -> Format {
    let Some(value) = options.get("format") else {
        return Format::default();
    };
    let value = value.to_string_lossy();
    Format::from_str(&value, false).unwrap_or_else(|_| {
        complain(&format!("format={value}: no such format, text is used"));
        Format::default()
    })
}

/// A number that no other run has.
fn session() -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .map_err(|error| Failure::ours(format!("/dev/urandom: {error}")))?;
    // Zero means "no session".
    Ok(u64::from_ne_bytes(bytes).max(1))
}

/// Ours first, then what the user had.
fn preload(shim: &Path, hooks: Option<&Path>) -> OsString {
    let mut list = shim.as_os_str().to_owned();
    if let Some(hooks) = hooks {
        list.push(":");
        list.push(hooks);
    }
    if let Some(user) = env::var_os("LD_PRELOAD").filter(|user| !user.is_empty()) {
        list.push(":");
        list.push(user);
    }
    list
}

/// Reads what can be read of the run, the command's own trace first.
fn load(paths: &[PathBuf], pid: u32, progress: &Progress) -> Vec<FileTrace> {
    let mut traces = Vec::new();
    for path in paths {
        match traces::load(std::slice::from_ref(path), progress) {
            Ok(trace) => traces.extend(trace),
            Err(failure) => failure
                .messages
                .iter()
                .for_each(|message| complain(message)),
        }
    }
    traces.sort_by_key(|trace| (trace.process.pid != pid, trace.process.started_at_ns));
    traces
}

/// The analysis of a run of which there is no trace.
fn nothing_recorded(args: &RunArgs, ended: &Ended, adapters: &str) -> Analysis {
    let in_force = adapters
        .split(',')
        .flat_map(|name| match name.trim() {
            "auto" => whofreed_adapter::automatic()
                .into_iter()
                .map(str::to_owned)
                .collect(),
            "none" | "" => Vec::new(),
            name => vec![adapter_name(name)],
        })
        .collect();
    Analysis {
        processes: vec![Process {
            pid: ended.pid,
            parent_pid: std::process::id(),
            command: vec![args.command[0].to_string_lossy().into_owned()],
            exit: Some(ended.exit),
            adapters: in_force,
            ..Process::default()
        }],
        ..Analysis::default()
    }
}

/// The adapters that the user asked for by name or path.
fn named(adapters: &str) -> Vec<String> {
    adapters
        .split(',')
        .map(str::trim)
        .filter(|name| !matches!(*name, "" | "auto" | "none"))
        .map(adapter_name)
        .collect()
}

/// The name that an adapter gives itself; the one that was asked for may be that of its file.
fn adapter_name(asked: &str) -> String {
    whofreed_adapter::own_name(asked).unwrap_or_else(|| asked.to_owned())
}

fn show(
    findings: &Findings,
    format: Format,
    page: &TextOptions,
    file: Option<&Path>,
) -> Result<(), Failure> {
    let text = output::render(findings, format, page);
    let Some(file) = file else {
        return output::to_stderr(&text);
    };
    if !format.is_of_events() {
        output::to_file(file, &text)?;
    }
    // The answer itself is for whoever watches, too.
    let short = TextOptions {
        named_adapters: page.named_adapters.clone(),
        found: page.found,
        ..output::page_of(&io::stderr())
    };
    output::to_stderr(&whofreed_report::headline(&findings.analysis, &short))
}
