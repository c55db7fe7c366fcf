//! Two runs held against each other, as text: one sentence that says whether it is fixed, what makes that doubtful,
//! the accounts of both, and what became of every culprit, victim and leak.

use whofreed_analysis::Confidence;
use whofreed_analysis::Totals;
use whofreed_analysis::diff::Answer;
use whofreed_analysis::diff::Change;
use whofreed_analysis::diff::Counts;
use whofreed_analysis::diff::Diff;
use whofreed_analysis::diff::Doubt;
use whofreed_analysis::diff::Guard;
use whofreed_analysis::diff::Status;
use whofreed_analysis::diff::Tally;

use super::TextOptions;
use super::accounts::fits;
use super::accounts::table;
use super::names::printable;
use super::names::site;
use super::notes;
use super::numbers::bytes;
use super::numbers::counted;
use super::numbers::number;
use super::page::NO_BREAK;
use super::page::Page;
use super::page::Piece;
use super::page::Tone;
use super::page::plain;
use super::page::strong;

/// So many culprits are shown,
const CULPRITS: usize = 12;
/// so many victims,
const VICTIMS: usize = 3;
/// and so many call sites of leaks.
const LEAKS: usize = 5;
/// Columns before a call site: the margin and the longest status.
const LEAD: usize = 13;

/// What changed between two runs, as text.
#[must_use]
pub fn diff_to_text(diff: &Diff, options: &TextOptions) -> String {
    let mut page = Page::new(options);
    sentence(&mut page, diff);
    doubts(&mut page, diff);
    notes(&mut page, None, options);
    page.blank();
    accounts(&mut page, diff);
    for list in [
        List {
            head: "culprits",
            changes: &diff.culprits,
            most: CULPRITS,
            bad: Tone::Bad,
        },
        List {
            head: "look guilty, are not",
            changes: &diff.victims,
            most: VICTIMS,
            // They cannot help it.
            bad: Tone::Plain,
        },
        List {
            head: "never freed",
            changes: &diff.leaks,
            most: LEAKS,
            bad: Tone::Bad,
        },
    ] {
        list.set(&mut page, options);
    }
    hint(&mut page, diff, options);
    page.finish()
}

fn sentence(page: &mut Page, diff: &Diff) {
    let (tone, answer) = match diff.answer {
        Answer::Fixed => (Tone::Good, "fixed: "),
        Answer::PartlyFixed => (Tone::Strong, "partly fixed: "),
        Answer::NotFixed => (Tone::Bad, "not fixed: "),
        Answer::Worse => (Tone::Bad, "worse: "),
        Answer::Uncertain => (Tone::Bad, "not certain: "),
        Answer::NobodyNamed => (Tone::Plain, ""),
    };
    let mut pieces = vec![plain("whofreed: "), (tone, answer.to_owned())];
    let (before, after) = (diff.before.totals.excess, diff.after.totals.excess);
    let told = told(&diff.counts, diff.answer == Answer::Worse);
    if !told.is_empty() {
        pieces.push(plain(format!(
            "{}; excess frees {}",
            told.join(", "),
            from_to(before, after)
        )));
    } else if before == 0 && after == 0 {
        pieces.push(plain("no excess frees before, and none after"));
    } else {
        pieces.push(plain(format!(
            "no culprit is named before or after; excess frees {}",
            from_to(before, after)
        )));
    }
    let leaks = Counts::new(&diff.leaks);
    for (count, what) in [(leaks.new, "new"), (leaks.more, "clearly more")] {
        if count > 0 {
            let sites = counted(count, "call site");
            pieces.push(plain(format!("; {what} leaks from {sites}")));
        }
    }
    page.prose(0, 2, &pieces);
}

/// `1 of 2 culprits gone`, `1 hidden by the guard`, `1 new`; what is new comes first where that is the news.
fn told(counts: &Counts, new_first: bool) -> Vec<String> {
    let of_before = [
        (counts.gone, "gone"),
        (counts.uncertain, "no longer certain"),
        (counts.more, "with clearly more excess frees"),
        (counts.hidden, "hidden by the guard"),
        (counts.fewer, "with clearly fewer excess frees"),
        (counts.unchanged, "unchanged"),
    ];
    let mut told = Vec::new();
    if counts.new > 0 && new_first {
        told.push(counted(counts.new, "new culprit"));
    }
    let told_first = told.len();
    for (count, what) in of_before {
        if count > 0 && told.len() == told_first {
            let culprits = counted(counts.of_before(), "culprit");
            told.push(format!("{} of {culprits} {what}", number(count)));
        } else if count > 0 {
            told.push(format!("{} {what}", number(count)));
        }
    }
    if counts.new > 0 && !new_first {
        told.push(format!("{} new", number(counts.new)));
    }
    told
}

/// `457 → 0`, in one word.
fn from_to(before: u64, after: u64) -> String {
    format!("{}{NO_BREAK}→{NO_BREAK}{}", number(before), number(after))
}

/// What makes the answer doubtful, or has to be known to read it.
fn doubts(page: &mut Page, diff: &Diff) {
    for (name, run) in [("before", &diff.before), ("after", &diff.after)] {
        for doubt in &run.doubts {
            let text = format!("{name}: {}", reason(doubt));
            page.prose(0, 2, &[(Tone::Bad, text)]);
        }
        let held = match run.guard {
            Guard::Nothing => continue,
            Guard::Some => format!("{} of", number(run.totals.blocked)),
            Guard::All => "all".to_owned(),
        };
        let excess = counted(run.totals.excess, "excess free");
        let text = format!("{name}: the guard held {held} {excess} back; they were attempted");
        page.prose(0, 2, &[plain(text)]);
    }
    if diff.ratio.is_some() {
        let text = format!(
            "the runs differ in length, {} allocations and {}: counts are compared per million allocations",
            number(diff.before.totals.allocations),
            number(diff.after.totals.allocations)
        );
        page.prose(0, 2, &[plain(text)]);
    }
}

/// A doubt of a run as a whole, or about one culprit.
fn reason(doubt: &Doubt) -> String {
    let was = |count: u64| if count == 1 { "was" } else { "were" };
    match *doubt {
        Doubt::Empty => "nothing was recorded".to_owned(),
        Doubt::Lost(count) => format!("{} {} lost", counted(count, "event"), was(count)),
        Doubt::Untracked(count) => {
            format!("{} could not be judged", counted(count, "event"))
        }
        Doubt::Damaged(count) => format!("the traces are damaged in {}", counted(count, "place")),
        Doubt::Killed(signal) => format!("a process was killed by signal {signal}"),
        Doubt::Unexplained(count) => {
            let are = if count == 1 { "is" } else { "are" };
            format!("{} {are} unexplained", counted(count, "excess free"))
        }
        Doubt::Suspect => "it may be the one behind another culprit's name".to_owned(),
        Doubt::Victim => "it now only looks guilty, because of a culprit that is new".to_owned(),
        Doubt::Nameless => "it may be one that is new, without a name to know it by".to_owned(),
        Doubt::Short => "the run was too short to tell".to_owned(),
    }
}

/// A row of the table: what, before, after.
type Row = (&'static str, u64, u64);

fn accounts(page: &mut Page, diff: &Diff) {
    let (before, after) = (&diff.before.totals, &diff.after.totals);
    let row = |what, of: fn(&Totals) -> u64| -> Row { (what, of(before), of(after)) };
    let mut rows = vec![
        row("allocations", |totals| totals.allocations),
        row("attempted deallocations", |totals| totals.deallocations),
        row("warnings (excess frees)", |totals| totals.excess),
        row("forwarded", |totals| totals.forwarded),
        row("blocked by the guard", |totals| totals.blocked),
        row("unknown", |totals| totals.unknown),
        row("leaked (never freed)", |totals| totals.leaked),
    ];
    let doubtful = [
        row("unexplained excess frees", |totals| totals.unexplained),
        row("lost events", |totals| totals.dropped_events),
    ];
    rows.extend(doubtful.into_iter().filter(|row| row.1 > 0 || row.2 > 0));
    let wide = cells(&rows, diff, diff.ratio.is_some());
    if fits(&wide, page.width) {
        table(page, &wide);
    } else {
        table(page, &cells(&rows, diff, false));
    }
}

/// The rows in cells, under their heads.
fn cells(rows: &[Row], diff: &Diff, per_million: bool) -> Vec<Vec<String>> {
    let mut head = vec!["", "before", "after", "change"];
    if per_million {
        head.extend(["before/million", "after/million"]);
    }
    let mut cells: Vec<Vec<String>> = vec![head.into_iter().map(str::to_owned).collect()];
    for &(what, before, after) in rows {
        let sign = if after < before { "-" } else { "+" };
        let change = match before.abs_diff(after) {
            0 => "0".to_owned(),
            change => format!("{sign}{}", number(change)),
        };
        let mut row = vec![what.to_owned(), number(before), number(after), change];
        if per_million {
            let lengths = [
                (before, diff.before.totals.allocations),
                (after, diff.after.totals.allocations),
            ];
            row.extend(lengths.map(|(count, length)| number(share(count, length))));
        }
        cells.push(row);
    }
    cells
}

/// A count for a million allocations, rounded.
fn share(count: u64, length: u64) -> u64 {
    let scaled =
        (u128::from(count) * 1_000_000 + u128::from(length) / 2) / u128::from(length.max(1));
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// One of the lists of what became of whom.
struct List<'a> {
    head: &'static str,
    changes: &'a [Change],
    /// So many are shown.
    most: usize,
    /// How those sound that are new or more.
    bad: Tone,
}

impl List<'_> {
    fn set(&self, page: &mut Page, options: &TextOptions) {
        if self.changes.is_empty() {
            return;
        }
        page.blank();
        page.line(&[strong(self.head)]);
        let most = if options.verbose {
            usize::MAX
        } else {
            self.most
        };
        for change in self.changes.iter().take(most) {
            let row = self.row(change, page.width, options.verbose);
            page.prose(2, LEAD, &row);
        }
        if self.changes.len() > most {
            let more = self.changes.len() - most;
            let text = format!("  … and {more} more (--verbose shows them)");
            page.line(&[(Tone::Faint, text)]);
        }
    }

    /// `gone       ProgramCache::evict (caches.hpp:40) 457 → 0`.
    fn row(&self, change: &Change, width: usize, verbose: bool) -> Vec<Piece> {
        let tone = match change.status {
            Status::New | Status::More => self.bad,
            Status::Gone => Tone::Good,
            Status::Uncertain | Status::Hidden => Tone::Strong,
            Status::Unchanged | Status::Fewer => Tone::Plain,
        };
        let status = change.status.name();
        let gap: String = std::iter::repeat_n(NO_BREAK, LEAD - 2 - status.len()).collect();
        let count = |tally: &Option<Tally>| tally.as_ref().map_or(0, |tally| tally.count);
        let counts = from_to(count(&change.before), count(&change.after));
        let mut pieces = vec![
            (tone, status.to_owned()),
            // No space of its own, so that a column begins where it should.
            plain(gap),
            strong(site(&change.site.frame, width.saturating_sub(LEAD + 16))),
            plain(format!(" {counts}")),
        ];
        for remark in remarks(change, width, verbose) {
            pieces.push(plain(format!("; {remark}")));
        }
        pieces
    }
}

/// What else there is to know of a change.
fn remarks(change: &Change, width: usize, verbose: bool) -> Vec<String> {
    let mut remarks = Vec::new();
    let tallies: Vec<&Tally> = [&change.before, &change.after]
        .into_iter()
        .flatten()
        .collect();
    if tallies.iter().any(|tally| tally.per_million.is_some()) {
        let rate = |tally: &Option<Tally>| {
            let rate = tally.as_ref().and_then(|tally| tally.per_million);
            // Rounded for people.
            rate.unwrap_or(0.0).round() as u64
        };
        let rates = from_to(rate(&change.before), rate(&change.after));
        remarks.push(format!("{rates} per million"));
    }
    if let Some(after) = change.after.as_ref().filter(|after| after.bytes > 0) {
        remarks.push(bytes(after.bytes).replace(' ', &NO_BREAK.to_string()));
    }
    if let [before, after] = *tallies
        && before.lines != after.lines
    {
        let lines = from_to(before.lines, after.lines);
        remarks.push(format!("lines of the function: {lines}"));
    }
    if let Some(before) = &change.named_before {
        let before = site(&before.frame, width.saturating_sub(LEAD + 16));
        remarks.push(format!("named {before} before"));
    }
    let undecided = Some(Confidence::Undecided);
    if tallies.iter().any(|tally| tally.confidence == undecided) {
        remarks.push("undecided".to_owned());
    }
    if change.status == Status::Hidden {
        remarks.push("still attempted, the guard held them back: not fixed".to_owned());
    }
    for doubt in &change.doubts {
        let mut text = reason(doubt);
        if let (Doubt::Unexplained(left), Some(before)) = (doubt, &change.before)
            && *left < before.count
        {
            text.push_str(", which may be what is left of it");
        }
        remarks.push(text);
    }
    if verbose {
        remarks.push(format!("fingerprint {}", change.fingerprint));
    }
    remarks
}

/// Where the stacks of what is new or more are to be seen.
fn hint(page: &mut Page, diff: &Diff, options: &TextOptions) {
    if let Some(after) = &options.trace_hint
        && diff.counts.new + diff.counts.more > 0
    {
        let hint = format!(
            "HINT: the stacks of the second run: whofreed report {}",
            printable(after)
        );
        // In one line, however long: it is there to be copied.
        page.line(&[(Tone::Faint, hint)]);
    }
}
