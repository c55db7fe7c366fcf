//! `whofreed top`: what a run does while it goes on.
//!
//! A thread reads and analyses ([`watch`]) what [`attach`] finds; here is the loop that takes keys and draws.

mod attach;
mod detail;
mod draw;
mod screen;
mod tables;
#[cfg(test)]
mod tests;
mod watch;

use std::io;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use clap::Args;
use crossterm::event;
use crossterm::event::Event;
use crossterm::event::KeyEventKind;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use unicode_width::UnicodeWidthStr;

use crate::failure::Failure;
use crate::output;
use crate::symbols::SymbolArgs;
use crate::symbols::Symbols;
use attach::Attached;
use screen::Screen;
use screen::Wish;
use tables::View;

/// The screen is drawn so often, for the age of what it shows.
const REDRAW: Duration = Duration::from_millis(250);
/// Lines of a screen that is printed, where nobody says how many.
const LINES: u16 = 40;

/// The arguments of `whofreed top`.
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// A process that was started under whofreed, with all that it starts in turn, or a trace [default: the run that is
    /// being recorded, if there is one]
    #[arg(value_name = "PID|TRACE")]
    target: Option<String>,
    /// Print one screen and end, as when stdout is no terminal
    #[arg(long)]
    once: bool,
    /// The list to begin with
    #[arg(long, value_enum, default_value_t, value_name = "LIST")]
    list: View,
    /// Look again after so many milliseconds; less often where a look takes long
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(50..=3_600_000))]
    interval: u64,
    #[command(flatten)]
    symbols: SymbolArgs,
}

/// Watches until somebody has seen enough.
pub(crate) fn top(args: &TopArgs) -> Result<u8, Failure> {
    let attached = Attached::to(args.target.as_deref())?;
    let symbols = Symbols::new(args.symbols);
    let screen = Screen::of(args.list);
    let is_seen = io::stdout().is_terminal() && io::stdin().is_terminal();
    if args.once || !is_seen {
        return once(attached, &symbols, screen);
    }
    let is_over = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT, SIGHUP] {
        // Without it the signal ends us as it always does.
        let _ = signal_hook::flag::register(signal, Arc::clone(&is_over));
    }
    let news = watch::watch(attached, symbols, Duration::from_millis(args.interval));
    let mut terminal = ratatui::try_init().map_err(on_terminal)?;
    let result = show(&mut terminal, screen, &news, &is_over);
    ratatui::restore();
    result.map(|()| 0)
}

fn on_terminal(error: io::Error) -> Failure {
    Failure::ours(format!("cannot use the terminal: {error}"))
}

fn show(
    terminal: &mut ratatui::DefaultTerminal,
    mut screen: Screen,
    news: &std::sync::mpsc::Receiver<watch::News>,
    is_over: &AtomicBool,
) -> Result<(), Failure> {
    let uses_colors = output::colors_wanted();
    while !is_over.load(Ordering::Relaxed) {
        loop {
            match news.try_recv() {
                Ok(new) => screen.take(new),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    return Err(Failure::ours("the thread that reads the traces has ended"));
                }
            }
        }
        terminal
            .draw(|frame| draw::draw(frame, &mut screen, uses_colors))
            .map_err(on_terminal)?;
        if is_gone(REDRAW) {
            break;
        }
        if !event::poll(Duration::ZERO).map_err(on_terminal)? {
            continue;
        }
        if let Event::Key(key) = event::read().map_err(on_terminal)?
            && key.kind != KeyEventKind::Release
            && screen.press(key) == Wish::Quit
        {
            break;
        }
    }
    Ok(())
}

/// Waits for a key, for so long at the most. True when the terminal is gone: whoever asks for keys then never hears an end.
fn is_gone(patience: Duration) -> bool {
    let stdin = io::stdin();
    let mut stdin = [PollFd::new(&stdin, PollFlags::IN)];
    let patience = Timespec::try_from(patience).ok();
    // A signal is no key: it is looked at next.
    let _ = rustix::event::poll(&mut stdin, patience.as_ref());
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    stdin[0].revents().intersects(gone)
}

/// Prints what there is now.
fn once(mut attached: Attached, symbols: &Symbols, mut screen: Screen) -> Result<u8, Failure> {
    let snapshot = watch::look(&mut attached, symbols, &mut None, drop).ok_or_else(|| {
        Failure::ours("nothing is recorded there: the process was not started under whofreed, or had no event yet")
    })?;
    screen.take(watch::News::Snapshot(Box::new(snapshot)));
    screen.take(watch::News::Looked {
        is_going_on: attached.is_going_on(),
        is_same: false,
    });
    let page = output::page_of(&io::stdout());
    let width = u16::try_from(page.width).unwrap_or(u16::MAX).min(500);
    output::to_stdout(&text_of(&mut screen, width, LINES)?)?;
    Ok(0)
}

/// A screen of this size as text, without colours and keys.
fn text_of(screen: &mut Screen, width: u16, height: u16) -> Result<String, Failure> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).map_err(Failure::ours)?;
    terminal
        .draw(|frame| draw::draw(frame, screen, false))
        .map_err(Failure::ours)?;
    let text = lines_of(terminal.backend().buffer());
    // The last line tells keys.
    let lines: Vec<&str> = text.lines().collect();
    let body = lines[..lines.len().saturating_sub(1)].join("\n");
    Ok(format!("{}\n", body.trim_end()))
}

fn lines_of(buffer: &Buffer) -> String {
    let area = buffer.area;
    let mut text = String::new();
    for y in area.top()..area.bottom() {
        let mut line = String::new();
        let mut x = area.left();
        while x < area.right() {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            // A wide character stands in one cell, and covers the next.
            x += u16::try_from(symbol.width()).unwrap_or(1).max(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
