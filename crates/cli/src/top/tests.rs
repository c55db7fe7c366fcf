//! Screens of small runs, and what keys do. `UPDATE_EXPECT=1` rewrites the screens in screens/.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use crossterm::event::KeyCode;
use crossterm::event::KeyEvent;
use crossterm::event::KeyModifiers;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use unicode_width::UnicodeWidthStr;
use whofreed_analysis::Rules;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Frame;
use whofreed_trace::Language;
use whofreed_trace::Process;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;
use whofreed_trace::Verdict;

use super::watch::News;
use super::watch::Snapshot;
use super::*;

/// Three stacks: who allocates, who frees, who frees again.
struct Names([String; 3]);

impl StackNames for Names {
    fn frames(&self, _trace: usize, stack: StackId) -> Arc<[Frame]> {
        let frame = |function: &str, file: &str, line| Frame {
            function: Some(function.to_owned()),
            module: Arc::from("/opt/model/libmodel.so"),
            offset: 0x1000 + u64::from(line),
            file: Some(Arc::from(file)),
            line,
            inlined: false,
            tail_called: false,
            language: Language::Native,
        };
        let main = frame("main", "/src/main.cpp", 3);
        match stack.0 {
            0 => Arc::from([]),
            number => {
                let file = ["", "/src/layers.hpp", "/src/tensor.hpp", "/src/caches.hpp"];
                let index = number as usize;
                let first = frame(&self.0[index - 1], file[index], 40 + number);
                Arc::from([first, main])
            }
        }
    }
}

fn names() -> Names {
    Names(
        [
            "model::Layer<float>::forward(Tensor const&)",
            "model::Tensor::~Tensor()",
            "model::ProgramCache::evict(unsigned long)",
        ]
        .map(str::to_owned),
    )
}

/// So many buffers on two devices, of which every second one is freed again.
fn run(buffers: u64) -> Trace {
    let mut events = Vec::new();
    for number in 0..buffers {
        let at = |kind, step, ms, stack| Event {
            device: u32::try_from(number % 2).expect("0 or 1"),
            address: 0x2000_0000 + number * 0x8000,
            owner: number + 1,
            root_owner: number + 1,
            step,
            stack: StackId(stack),
            thread: 4242,
            time_ns: (1_000 + number * 10 + ms) * 1_000_000,
            ..Event::of(kind)
        };
        events.push(Event {
            size: 1 << (12 + number % 8),
            ..at(EventKind::Allocate, 1, 0, 1)
        });
        if number % 5 == 4 {
            continue;
        }
        events.push(at(EventKind::Deallocate, 2, 3, 2));
        if number % 2 == 0 {
            events.push(Event {
                verdict: Verdict::AlreadyFreed,
                ..at(EventKind::Deallocate, 3, 5, 3)
            });
        }
    }
    Trace {
        id: 1,
        process: Process {
            pid: 4242,
            command: vec!["/usr/bin/python3".to_owned()],
            ..Process::default()
        },
        events,
        device_names: BTreeMap::from([(0, "wormhole 0 DRAM".to_owned())]),
        ..Trace::default()
    }
}

fn news_of(trace: Trace, names: &Names, after: Duration) -> News {
    let (analysis, timeline) =
        whofreed_analysis::analyse_with_timeline(&[trace], names, &Rules::default());
    News::Snapshot(Box::new(Snapshot {
        analysis,
        timeline,
        taken: Instant::now() + after,
        took: Duration::from_millis(120),
        wrong: Vec::new(),
    }))
}

fn screen_of(buffers: u64) -> Screen {
    let mut screen = Screen::default();
    screen.take(news_of(run(buffers), &names(), Duration::ZERO));
    screen
}

fn shown(screen: &mut Screen, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a screen");
    terminal
        .draw(|frame| draw::draw(frame, screen, true))
        .expect("a drawing");
    lines_of(terminal.backend().buffer())
}

fn press(screen: &mut Screen, code: KeyCode) -> Wish {
    screen.press(KeyEvent::new(code, KeyModifiers::NONE))
}

/// The line of the row that is selected.
fn selected(screen: &mut Screen) -> String {
    let mut terminal = Terminal::new(TestBackend::new(120, 20)).expect("a screen");
    terminal
        .draw(|frame| draw::draw(frame, screen, false))
        .expect("a drawing");
    let buffer = terminal.backend().buffer();
    let is_reversed = |y: u16| {
        buffer[(0, y)]
            .modifier
            .contains(ratatui::style::Modifier::REVERSED)
    };
    let line = (0..19).find(|&y| is_reversed(y)).expect("a selected row");
    let text = lines_of(buffer);
    text.lines().nth(usize::from(line)).expect("it").to_owned()
}

#[test]
fn a_screen_shows_who_did_it_at_three_widths() {
    for width in [60, 80, 120] {
        let mut all = String::new();
        let mut screen = screen_of(10);
        screen.take(news_of(run(40), &names(), Duration::from_secs(2)));
        for view in View::ALL {
            screen.view = view;
            all.push_str(&shown(&mut screen, width, 16));
            all.push_str(&"=".repeat(usize::from(width)));
            all.push('\n');
        }
        screen.view = View::Culprits;
        let _ = press(&mut screen, KeyCode::Enter);
        all.push_str(&shown(&mut screen, width, 24));
        let path = format!("{}/src/top/screens/{width}.txt", env!("CARGO_MANIFEST_DIR"));
        if env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&path, &all).expect("a file");
        }
        let expected = fs::read_to_string(&path).expect("a file");
        assert_eq!(all, expected, "{path}");
        let too_wide = all.lines().find(|line| line.width() > usize::from(width));
        assert_eq!(too_wide, None);
    }
}

#[test]
fn keys_go_from_list_to_list_and_into_a_row_and_back() {
    let mut screen = screen_of(20);
    for title in ["latest", "buffers", "allocators", "culprits"] {
        assert_eq!(press(&mut screen, KeyCode::Tab), Wish::Nothing);
        let text = shown(&mut screen, 80, 20);
        assert!(text.contains(&format!(" {title}]")), "{text}");
    }
    let _ = press(&mut screen, KeyCode::Enter);
    let text = shown(&mut screen, 100, 30);
    for word in [
        "excess free of 0x",
        "caches.hpp:43",
        "tensor.hpp:42",
        "layers.hpp:41",
    ] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
    let lines = |text: &str| text.trim_end().lines().count();
    let before = lines(&shown(&mut screen, 40, 200));
    let _ = press(&mut screen, KeyCode::Char('v'));
    assert!(lines(&shown(&mut screen, 40, 200)) >= before);
    let _ = press(&mut screen, KeyCode::Esc);
    let _ = press(&mut screen, KeyCode::Char('3'));
    let _ = press(&mut screen, KeyCode::Enter);
    let text = shown(&mut screen, 100, 30);
    for word in [
        "life 1 begins, 4.0 KiB",
        "life 1 ends",
        "EXCESS FREE, already_freed, charged to #1",
    ] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
    let _ = press(&mut screen, KeyCode::Char('?'));
    assert!(shown(&mut screen, 100, 30).contains("A key closes this page."));
    let _ = press(&mut screen, KeyCode::Char('x'));
    assert!(!shown(&mut screen, 100, 30).contains("A key closes this page."));
    assert_eq!(press(&mut screen, KeyCode::Char('q')), Wish::Quit);
}

#[test]
fn a_list_is_sorted_by_any_column_and_the_other_way_round() {
    let mut screen = screen_of(20);
    screen.view = View::Buffers;
    assert!(selected(&mut screen).contains("0x20000000"));
    // Allocated, freed, size: the largest buffer comes first.
    for _ in 0..3 {
        let _ = press(&mut screen, KeyCode::Char('s'));
    }
    assert!(
        selected(&mut screen).contains("512.0 KiB"),
        "{}",
        selected(&mut screen)
    );
    let _ = press(&mut screen, KeyCode::Char('r'));
    assert!(selected(&mut screen).contains("4.0 KiB"));
    let _ = press(&mut screen, KeyCode::Char('o'));
    assert!(selected(&mut screen).contains("0x20000000"));
    // Behind the last column, it is as it was.
    for _ in 0..screen.view.columns().len() {
        let _ = press(&mut screen, KeyCode::Char('s'));
    }
    assert_eq!(screen.sorting(), None);
}

#[test]
fn what_is_selected_stays_so_when_there_is_more_to_see() {
    let mut screen = screen_of(20);
    screen.view = View::Latest;
    let newest = selected(&mut screen);
    let _ = press(&mut screen, KeyCode::Down);
    let chosen = selected(&mut screen);
    assert_ne!(newest, chosen);
    screen.take(news_of(run(60), &names(), Duration::from_secs(1)));
    assert_eq!(selected(&mut screen), chosen);
    let _ = press(&mut screen, KeyCode::Home);
    assert_ne!(selected(&mut screen), newest, "there is a newer one");
    let _ = press(&mut screen, KeyCode::End);
    assert!(selected(&mut screen).contains("0x20000000"));
}

#[test]
fn rates_are_what_came_between_two_looks() {
    let mut screen = screen_of(0);
    screen.snapshot = None;
    screen.take(news_of(run(20), &names(), Duration::ZERO));
    assert_eq!(screen.rates, None);
    screen.take(news_of(run(120), &names(), Duration::from_secs(10)));
    let rates = screen.rates.expect("rates");
    // 100 allocations in about ten seconds.
    assert!((9..=10).contains(&rates.allocations), "{rates:?}");
    // A look that finds nothing new: nothing came in that time.
    screen.take(News::Looked {
        is_going_on: true,
        is_same: true,
    });
    assert_eq!(screen.rates, Some(screen::Rates::default()));
    screen.take(News::Looked {
        is_going_on: false,
        is_same: true,
    });
    assert!(!shown(&mut screen, 80, 20).contains("/s)"));
}

#[test]
fn a_screen_that_is_paused_stays_as_it_is_until_it_goes_on() {
    let mut screen = screen_of(20);
    let _ = press(&mut screen, KeyCode::Char('p'));
    let before = shown(&mut screen, 80, 20);
    assert!(before.contains("paused"), "{before}");
    screen.take(news_of(run(60), &names(), Duration::from_secs(1)));
    assert!(shown(&mut screen, 80, 20).contains("allocations 20 "));
    // It may have been the last one.
    let _ = press(&mut screen, KeyCode::Char('p'));
    assert!(shown(&mut screen, 80, 20).contains("allocations 60 "));
}

#[test]
fn lost_events_come_first() {
    let mut trace = run(20);
    trace.dropped_events = 7;
    let mut screen = Screen::default();
    screen.take(news_of(trace, &names(), Duration::ZERO));
    let text = shown(&mut screen, 40, 20);
    let line = text.lines().nth(1).unwrap_or_default();
    assert!(line.starts_with("lost events 7   excess frees 8"), "{text}");
}

#[test]
fn a_trace_that_is_broken_is_told() {
    let mut trace = run(20);
    let damage = |offset| whofreed_trace::Damage {
        offset,
        what: "the file ends here".to_owned(),
    };
    trace.damage = (0..9).map(damage).collect();
    let mut screen = Screen::default();
    screen.take(news_of(trace, &names(), Duration::ZERO));
    let text = shown(&mut screen, 100, 30);
    let line = "trace of process 4242: damaged at offset 1: the file ends here";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("and 6 more of these"), "{text}");
}

#[test]
fn what_takes_long_to_analyse_is_not_taken_for_nothing() {
    let mut screen = Screen::default();
    assert!(shown(&mut screen, 100, 10).contains("Waiting for the first event."));
    screen.take(News::Reading { events: 6_000_000 });
    assert!(shown(&mut screen, 100, 10).contains("Analysing 6,000,000 events"));
}

#[test]
fn no_screen_is_too_small() {
    for (width, height) in [(1, 1), (1, 50), (500, 1), (7, 3), (20, 5), (39, 9)] {
        let mut screen = screen_of(20);
        for view in View::ALL {
            screen.view = view;
            let _ = shown(&mut screen, width, height);
            let _ = press(&mut screen, KeyCode::PageDown);
            let _ = press(&mut screen, KeyCode::Enter);
            let _ = press(&mut screen, KeyCode::PageDown);
            let text = shown(&mut screen, width, height);
            assert_eq!(text.lines().count(), usize::from(height));
            let _ = press(&mut screen, KeyCode::Esc);
        }
        let mut waiting = Screen::default();
        let _ = shown(&mut waiting, width, height);
    }
}

#[test]
fn names_that_would_act_on_a_terminal_are_only_shown() {
    let hostile = Names([
        "a\u{1b}[31mred\u{7}\r\nb".to_owned(),
        "\u{202e}desrever\u{200b}".to_owned(),
        format!("x\u{1b}]0;title\u{7}{}", "long".repeat(1 << 18)),
    ]);
    let mut trace = run(20);
    trace.process.command = vec!["/bin/a\u{1b}[2Jb\u{202e}".to_owned()];
    trace.device_names = BTreeMap::from([(0, "\u{1b}c\u{9b}31m".repeat(1000))]);
    let mut screen = Screen::default();
    screen.take(news_of(trace, &hostile, Duration::ZERO));
    for view in View::ALL {
        screen.view = view;
        let list = shown(&mut screen, 100, 30);
        let _ = press(&mut screen, KeyCode::Enter);
        let detail = shown(&mut screen, 100, 30);
        let _ = press(&mut screen, KeyCode::Esc);
        for text in [list, detail] {
            let acts = |c: &char| {
                (c.is_control() && *c != '\n') || matches!(c, '\u{202e}' | '\u{200b}' | '\u{9b}')
            };
            assert_eq!(text.chars().find(acts), None, "{text}");
        }
    }
}
