//! Draws the screen.

use ratatui::Frame;
use ratatui::layout::Constraint;
use ratatui::layout::Layout;
use ratatui::layout::Rect;
use ratatui::style::Color;
use ratatui::style::Modifier;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::text::Span;
use ratatui::widgets::Paragraph;
use ratatui::widgets::Row;
use ratatui::widgets::Table;
use ratatui::widgets::TableState;
use ratatui::widgets::Wrap;
use unicode_width::UnicodeWidthStr;
use whofreed_analysis::Timeline;
use whofreed_report::bytes;
use whofreed_report::fit_middle;
use whofreed_report::number;

use super::detail;
use super::screen::Screen;
use super::tables::Cell;
use super::tables::Column;
use super::tables::View;
use super::tables::time;
use super::watch::Snapshot;

/// So many devices have a line.
const DEVICES: usize = 4;
/// So many things that are wrong have a line.
const WRONG: usize = 3;
/// The columns of a device's curve.
const CURVE: usize = 24;
/// A curve's heights.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

const KEYS: [&str; 9] = [
    "1-4 lists",
    "enter look into",
    "? help",
    "q quit",
    "s sort",
    "r reverse",
    "p pause",
    "o order of the report",
    "tab next list",
];

const HELP: &str = "\
1 to 4, tab       the lists: culprits, latest excess frees, buffers, allocators
up, down, j, k    select a row; page up, page down, home, end as well
enter             look into the row: a culprit's three stacks, an address's lives
v                 there: whole stacks, or what tells
esc               back to the list
s                 sort by the next column; behind the last one, as the report has it
r                 sort the other way round
o                 as the report has it
p, space          keep what is shown; again: go on
q, ctrl-c         quit; what is watched goes on

A key closes this page.";

/// Draws all of it. `uses_colors`: otherwise what matters is bold, or the other way round.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &mut Screen, uses_colors: bool) {
    let area = frame.area();
    let tones = Tones { uses_colors };
    let mut head = head(screen, area.width, tones);
    // A screen of a few lines is for the list.
    head.truncate(usize::from(area.height / 2));
    let [top, middle, bottom] = Layout::vertical([
        Constraint::Length(head.len() as u16),
        Constraint::Fill(1),
        Constraint::Length(1),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(head), top);
    frame.render_widget(Paragraph::new(keys(screen, area.width)), bottom);
    screen.page = usize::from(middle.height.saturating_sub(1));
    if screen.is_helping {
        frame.render_widget(Paragraph::new(HELP), middle);
    } else if screen.snapshot.is_none() {
        let text = waiting(screen);
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), middle);
    } else if screen.looked_into.is_some() {
        detail(frame, screen, middle);
    } else {
        list(frame, screen, middle, tones);
    }
}

/// What matters is told apart without colours as well.
#[derive(Clone, Copy, Debug)]
struct Tones {
    uses_colors: bool,
}

impl Tones {
    fn bad(self) -> Style {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        if self.uses_colors {
            bold.fg(Color::Red)
        } else {
            bold
        }
    }

    fn faint(self) -> Style {
        if self.uses_colors {
            Style::new().fg(Color::DarkGray)
        } else {
            Style::new()
        }
    }
}

fn strong() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn head(screen: &Screen, width: u16, tones: Tones) -> Vec<Line<'static>> {
    let Some(snapshot) = &screen.snapshot else {
        return Vec::new();
    };
    let mut lines = vec![title(screen, snapshot, width, tones)];
    lines.extend(sums(screen, snapshot, width, tones));
    lines.extend(devices(snapshot, width));
    lines.extend(wrong(snapshot, width, tones));
    lines.push(tabs(screen, width, tones));
    lines
}

/// What could not be read, and where traces are broken: the first few of it.
fn wrong(snapshot: &Snapshot, width: u16, tones: Tones) -> Vec<Line<'static>> {
    let analysis = &snapshot.analysis;
    let damage = analysis.damage.iter().map(|(process, damage)| {
        let pid = analysis.processes.get(*process).map_or(0, |it| it.pid);
        let (offset, what) = (damage.offset, &damage.what);
        format!("trace of process {pid}: damaged at offset {offset}: {what}")
    });
    let all: Vec<String> = snapshot.wrong.iter().cloned().chain(damage).collect();
    let mut lines: Vec<String> = all.iter().take(WRONG).cloned().collect();
    if all.len() > WRONG {
        lines.push(format!(
            "and {} more of these",
            number((all.len() - WRONG) as u64)
        ));
    }
    let styled = lines.iter().map(|line| {
        let text = fit_middle(line, usize::from(width));
        Line::from(Span::styled(text, tones.bad()))
    });
    styled.collect()
}

/// Where there is nothing to see yet.
fn waiting(screen: &Screen) -> String {
    if let Some(events) = screen.being_read {
        format!("Analysing {} events …", number(events))
    } else if screen.has_ended {
        "It has ended, and there is no trace of it: it was not started under whofreed, or had no event."
            .to_owned()
    } else {
        "Waiting for the first event. If none comes, the process was not started under whofreed."
            .to_owned()
    }
}

/// Who is watched, and how old what is shown is.
fn title(screen: &Screen, snapshot: &Snapshot, width: u16, tones: Tones) -> Line<'static> {
    let analysis = &snapshot.analysis;
    let main = analysis.processes.get(analysis.main_process);
    let mut who = main.map_or_else(String::new, |process| {
        let name = process.command.first().map_or("", String::as_str);
        format!("{} {}", process.pid, base(name))
    });
    if analysis.processes.len() > 1 {
        who.push_str(&format!(" and {} more", analysis.processes.len() - 1));
    }
    let state = match (screen.has_ended, screen.is_paused) {
        (_, true) => "paused",
        (true, false) => "ended",
        (false, false) => "running",
    };
    let run = time(snapshot.timeline.end_ns);
    let age = snapshot.taken.elapsed().as_secs();
    let took = snapshot.took.as_secs_f64();
    let left = vec![
        Span::styled("whofreed top  ", strong()),
        Span::raw(fit_middle(&who, usize::from(width / 3).max(12))),
        Span::raw(format!("  {state}, {run}")),
    ];
    let right = if screen.has_ended {
        String::new()
    } else {
        format!("read {age} s ago, took {took:.1} s")
    };
    let used: usize = left.iter().map(Span::width).sum();
    let room = usize::from(width).saturating_sub(used);
    let mut line = Line::from(left);
    if right.len() + 2 <= room {
        line.push_span(Span::raw(" ".repeat(room - right.len())));
        line.push_span(Span::styled(right, tones.faint()));
    }
    line
}

/// The last component of a path.
fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// The sums, with what is added to them each second.
fn sums(screen: &Screen, snapshot: &Snapshot, width: u16, tones: Tones) -> Vec<Line<'static>> {
    let totals = &snapshot.analysis.totals;
    let rates = screen.rates;
    let with_rate = |name: &str, value: u64, rate: Option<u64>| match rate {
        Some(rate) if !screen.has_ended => {
            format!("{name} {} (+{}/s)", number(value), number(rate))
        }
        _ => format!("{name} {}", number(value)),
    };
    let style = |is_bad: bool| if is_bad { tones.bad() } else { Style::new() };
    let excess = with_rate("excess frees", totals.excess, rates.map(|it| it.excess));
    let explained = totals.excess - totals.unexplained.min(totals.excess);
    let culprits = snapshot.analysis.culprits.len() as u64;
    let lost = totals.dropped_events;
    let mut first = vec![
        (excess, style(totals.excess > 0)),
        (format!("explained {}", number(explained)), Style::new()),
        (format!("culprits {}", number(culprits)), Style::new()),
    ];
    // What is missing may have been the answer: then it has room before all else.
    let at = if lost > 0 { 0 } else { first.len() };
    let lost = (format!("lost events {}", number(lost)), style(lost > 0));
    first.insert(at, lost);
    let allocations = with_rate(
        "allocations",
        totals.allocations,
        rates.map(|it| it.allocations),
    );
    let frees = with_rate(
        "frees",
        totals.deallocations,
        rates.map(|it| it.deallocations),
    );
    let events = with_rate("events", totals.events, rates.map(|it| it.events));
    let second = [allocations, frees, events].map(|text| (text, Style::new()));
    vec![in_a_line(first, width), in_a_line(second.into(), width)]
}

/// As many of the pieces as there is room for.
fn in_a_line(pieces: Vec<(String, Style)>, width: u16) -> Line<'static> {
    let mut line = Line::default();
    for (text, style) in pieces {
        let gap = if line.spans.is_empty() { "" } else { "   " };
        if !gap.is_empty() && line.width() + gap.len() + text.width() > usize::from(width) {
            break;
        }
        line.push_span(Span::raw(gap));
        line.push_span(Span::styled(text, style));
    }
    line
}

/// What lives on each device, and a curve of it over the run.
fn devices(snapshot: &Snapshot, width: u16) -> Vec<Line<'static>> {
    let timeline = &snapshot.timeline;
    let mut numbers: Vec<u32> = timeline.levels.iter().map(|level| level.device).collect();
    numbers.extend(timeline.live_buffers.keys());
    numbers.sort_unstable();
    numbers.dedup();
    let mut lines: Vec<Line<'static>> = Vec::new();
    for &device in numbers.iter().take(DEVICES) {
        let live = bins(timeline, device, |level| &level.live);
        let most = bins(timeline, device, |level| &level.most);
        let buffers = timeline.live_buffers.get(&device).copied().unwrap_or(0);
        let name = snapshot.analysis.device_names.get(&device);
        let name = match name {
            Some(name) if !name.is_empty() => {
                format!(
                    "device {device} ({})",
                    fit_middle(name, usize::from(width / 5))
                )
            }
            _ => format!("device {device}"),
        };
        let pieces = vec![
            (name, Style::new()),
            (
                format!(
                    "live {} in {}",
                    bytes(live.last().copied().unwrap_or(0)),
                    whofreed_report::counted(buffers, "buffer")
                ),
                strong(),
            ),
            (
                format!("at most {}", bytes(most.iter().copied().max().unwrap_or(0))),
                Style::new(),
            ),
            (curve(&most), Style::new()),
        ];
        lines.push(in_a_line(pieces, width));
    }
    if numbers.len() > DEVICES {
        let more = numbers.len() - DEVICES;
        lines.push(Line::from(format!("and {more} more devices")));
    }
    lines
}

/// A curve of a device: the sum of all kinds.
fn bins(
    timeline: &Timeline,
    device: u32,
    of: impl Fn(&whofreed_analysis::Level) -> &Vec<u64>,
) -> Vec<u64> {
    let mut sum: Vec<u64> = Vec::new();
    for level in timeline.levels.iter().filter(|it| it.device == device) {
        let bins = of(level);
        sum.resize(sum.len().max(bins.len()), 0);
        for (sum, bin) in sum.iter_mut().zip(bins) {
            *sum = sum.saturating_add(*bin);
        }
    }
    sum
}

/// A curve in a line: the highest of each part of it.
fn curve(bins: &[u64]) -> String {
    let highest = u128::from(bins.iter().copied().max().unwrap_or(0).max(1));
    let parts = CURVE.min(bins.len());
    let part = |number: usize| {
        let (first, behind) = (
            number * bins.len() / parts,
            (number + 1) * bins.len() / parts,
        );
        let high = bins[first..behind].iter().copied().max().unwrap_or(0);
        let step = u128::from(high) * (HEIGHTS.len() as u128 - 1) / highest;
        HEIGHTS[usize::try_from(step).unwrap_or(0)]
    };
    (0..parts).map(part).collect()
}

fn tabs(screen: &Screen, width: u16, tones: Tones) -> Line<'static> {
    let mut pieces = Vec::new();
    for (view, key) in View::ALL.into_iter().zip(1..) {
        let text = format!("{key} {}", view.title());
        if view == screen.view {
            pieces.push((format!("[{text}]"), strong()));
        } else {
            pieces.push((format!(" {text} "), tones.faint()));
        }
    }
    in_a_line(pieces, width)
}

fn keys(screen: &Screen, width: u16) -> Line<'static> {
    let keys: Vec<&str> = match &screen.looked_into {
        Some(_) => vec![
            "esc back",
            "v whole stacks",
            "up, down scroll",
            "? help",
            "q quit",
            "p pause",
        ],
        None => KEYS.to_vec(),
    };
    let pieces = keys.into_iter().map(|key| (key.to_owned(), Style::new()));
    in_a_line(pieces.collect(), width).style(Style::new().add_modifier(Modifier::REVERSED))
}

fn detail(frame: &mut Frame<'_>, screen: &mut Screen, area: Rect) {
    let (Some(snapshot), Some((subject, first))) = (&screen.snapshot, &mut screen.looked_into)
    else {
        return;
    };
    let lines = detail::lines(snapshot, subject, area.width, screen.is_verbose);
    let most = lines.len().saturating_sub(usize::from(area.height));
    *first = (*first).min(most);
    let shown: Vec<Line<'_>> = lines
        .iter()
        .skip(*first)
        .take(usize::from(area.height))
        .map(|line| Line::from(line.as_str()))
        .collect();
    frame.render_widget(Paragraph::new(shown), area);
}

fn list(frame: &mut Frame<'_>, screen: &Screen, area: Rect, tones: Tones) {
    let view = screen.view;
    let (rows, selected) = screen.rows();
    if rows.is_empty() {
        frame.render_widget(Paragraph::new(view.nothing()), area);
        return;
    }
    let columns: Vec<(usize, &Column)> = (view.columns().iter().enumerate())
        .filter(|(_, column)| frame.area().width >= column.from)
        .collect();
    let fixed: u16 = columns.iter().map(|(_, column)| column.width + 1).sum();
    let rest = area.width.saturating_sub(fixed.saturating_sub(1));
    let width = |column: &Column| {
        if column.width == 0 {
            rest
        } else {
            column.width
        }
    };
    // Only what is in sight is put into words.
    let height = usize::from(area.height.saturating_sub(1)).max(1);
    let first = (selected + 1).saturating_sub(height);
    let body = rows.iter().skip(first).take(height).map(|row| {
        Row::new(columns.iter().map(|&(index, column)| {
            let cell = row.cells[index];
            aligned(cell.text(width(column)), cell, width(column))
        }))
    });
    let sorting = screen.sorting();
    let header = columns.iter().map(|&(index, column)| {
        let mark = match sorting {
            Some(sorting) if sorting.column == index && sorting.is_reversed => "▲",
            Some(sorting) if sorting.column == index => "▼",
            _ => "",
        };
        let title = format!("{}{mark}", column.title);
        aligned(title, rows[0].cells[index], width(column))
    });
    let widths = columns
        .iter()
        .map(|(_, column)| Constraint::Length(width(column)));
    let table = Table::new(body, widths)
        .column_spacing(1)
        .header(Row::new(header).style(tones.faint().add_modifier(Modifier::UNDERLINED)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_selected(selected - first);
    frame.render_stateful_widget(table, area, &mut state);
}

/// Numbers stand at the right, so that they can be compared.
fn aligned(text: String, cell: Cell<'_>, width: u16) -> String {
    let missing = usize::from(width).saturating_sub(text.width());
    if cell.is_number() {
        format!("{}{text}", " ".repeat(missing))
    } else {
        text
    }
}
