//! What is on the screen, and what keys do to it.

use crossterm::event::KeyCode;
use crossterm::event::KeyEvent;
use crossterm::event::KeyModifiers;
use std::time::Duration;
use whofreed_analysis::Totals;

use super::tables::Row;
use super::tables::Subject;
use super::tables::View;
use super::tables::sort;
use super::watch::News;
use super::watch::Snapshot;

/// How a list is sorted: by the column with this number, and whether the other way round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sorting {
    pub(super) column: usize,
    pub(super) is_reversed: bool,
}

/// What one list remembers.
#[derive(Clone, Debug, Default)]
struct Listed {
    sorting: Option<Sorting>,
    selected: Option<Subject>,
    /// Where that was, should it be gone.
    at: usize,
}

/// How many a second, between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rates {
    pub(super) events: u64,
    pub(super) allocations: u64,
    pub(super) deallocations: u64,
    pub(super) excess: u64,
}

impl Rates {
    fn between(before: &Totals, after: &Totals, time: Duration) -> Self {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = |before: u64, after: u64| {
            let difference = u128::from(after.saturating_sub(before));
            u64::try_from(difference * 1000 / u128::from(ms)).unwrap_or(u64::MAX)
        };
        Self {
            events: rate(before.events, after.events),
            allocations: rate(before.allocations, after.allocations),
            deallocations: rate(before.deallocations, after.deallocations),
            excess: rate(before.excess, after.excess),
        }
    }
}

/// What a key asks for that is not a matter of the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Go on.
    Nothing,
    /// End.
    Quit,
}

/// All that is shown.
#[derive(Debug, Default)]
pub(super) struct Screen {
    pub(super) snapshot: Option<Box<Snapshot>>,
    /// What came while the screen was paused.
    unseen: Option<Box<Snapshot>>,
    /// Events that are being read and analysed, where there is nothing to see yet.
    pub(super) being_read: Option<u64>,
    pub(super) rates: Option<Rates>,
    pub(super) has_ended: bool,
    pub(super) is_paused: bool,
    pub(super) is_helping: bool,
    /// Whole stacks, where somebody looks into a row.
    pub(super) is_verbose: bool,
    pub(super) view: View,
    lists: [Listed; View::ALL.len()],
    /// What is looked into, and the first line of it that is shown.
    pub(super) looked_into: Option<(Subject, usize)>,
    /// How many rows a list has room for, as it was drawn last.
    pub(super) page: usize,
}

impl Screen {
    /// A screen that begins with this list.
    pub(super) fn of(view: View) -> Self {
        Self {
            view,
            ..Self::default()
        }
    }

    /// Takes in what the watch has to tell.
    pub(super) fn take(&mut self, news: News) {
        match news {
            News::Reading { events } => self.being_read = Some(events),
            News::Snapshot(snapshot) if !self.is_paused || self.snapshot.is_none() => {
                self.show(snapshot);
            }
            News::Snapshot(snapshot) => self.unseen = Some(snapshot),
            News::Looked {
                is_going_on,
                is_same,
            } => {
                self.has_ended = !is_going_on;
                if self.has_ended {
                    self.rates = None;
                } else if is_same && !self.is_paused {
                    self.rates = self.rates.map(|_| Rates::default());
                }
            }
        }
    }

    fn show(&mut self, snapshot: Box<Snapshot>) {
        self.rates = self.snapshot.as_ref().map(|before| {
            let time = snapshot.taken.saturating_duration_since(before.taken);
            Rates::between(&before.analysis.totals, &snapshot.analysis.totals, time)
        });
        self.snapshot = Some(snapshot);
    }

    /// The latest is what people want to see when they go on.
    fn pause_or_go_on(&mut self) {
        self.is_paused = !self.is_paused;
        if !self.is_paused
            && let Some(unseen) = self.unseen.take()
        {
            self.show(unseen);
        }
    }

    fn list(&self) -> &Listed {
        &self.lists[self.view as usize]
    }

    fn list_mut(&mut self) -> &mut Listed {
        &mut self.lists[self.view as usize]
    }

    /// How the list in view is sorted.
    pub(super) fn sorting(&self) -> Option<Sorting> {
        self.list().sorting
    }

    /// The rows of the list in view, and the number of the one that is selected.
    pub(super) fn rows(&self) -> (Vec<Row<'_>>, usize) {
        let Some(snapshot) = &self.snapshot else {
            return (Vec::new(), 0);
        };
        let mut rows = self.view.rows(snapshot);
        let list = self.list();
        if let Some(Sorting {
            column,
            is_reversed,
        }) = list.sorting
        {
            sort(&mut rows, column, is_reversed);
        }
        let selected = list.selected.as_ref();
        let at = selected.and_then(|selected| rows.iter().position(|row| row.subject == *selected));
        let last = rows.len().saturating_sub(1);
        (rows, at.unwrap_or(list.at.min(last)))
    }

    /// What a key does.
    pub(super) fn press(&mut self, key: KeyEvent) -> Wish {
        let is_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if matches!(key.code, KeyCode::Char('c' | 'd')) && is_control {
            return Wish::Quit;
        }
        if self.is_helping {
            self.is_helping = false;
            return Wish::Nothing;
        }
        match key.code {
            KeyCode::Char('q') => return Wish::Quit,
            KeyCode::Char('?' | 'h') => self.is_helping = true,
            KeyCode::Char('p' | ' ') => self.pause_or_go_on(),
            code if self.looked_into.is_some() => self.press_in_detail(code),
            code => self.press_in_list(code),
        }
        Wish::Nothing
    }

    fn press_in_detail(&mut self, code: KeyCode) {
        let page = self.page.max(1);
        let Some((_, first)) = &mut self.looked_into else {
            return;
        };
        match code {
            KeyCode::Up | KeyCode::Char('k') => *first = first.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => *first = first.saturating_add(1),
            KeyCode::PageUp => *first = first.saturating_sub(page),
            KeyCode::PageDown => *first = first.saturating_add(page),
            KeyCode::Home => *first = 0,
            KeyCode::End => *first = usize::MAX,
            KeyCode::Char('v') => self.is_verbose = !self.is_verbose,
            KeyCode::Esc | KeyCode::Backspace | KeyCode::Enter | KeyCode::Left => {
                self.looked_into = None;
            }
            _ => {}
        }
    }

    fn press_in_list(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(digit @ '1'..='4') => {
                self.view = View::ALL[digit as usize - '1' as usize];
            }
            KeyCode::Tab | KeyCode::Right => self.turn(1),
            KeyCode::BackTab | KeyCode::Left => self.turn(View::ALL.len() - 1),
            KeyCode::Char('s') => self.sort_by_next(),
            KeyCode::Char('r') => {
                let sorting = self.sorting().unwrap_or(Sorting {
                    column: 0,
                    is_reversed: false,
                });
                self.list_mut().sorting = Some(Sorting {
                    is_reversed: !sorting.is_reversed,
                    ..sorting
                });
            }
            KeyCode::Char('o') => self.list_mut().sorting = None,
            KeyCode::Up | KeyCode::Char('k') => self.select(|at, _| at.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.select(|at, _| at + 1),
            KeyCode::PageUp => self.select(usize::saturating_sub),
            KeyCode::PageDown => self.select(|at, page| at + page),
            KeyCode::Home => self.select(|_, _| 0),
            KeyCode::End => self.select(|_, _| usize::MAX),
            KeyCode::Enter => {
                let (rows, at) = self.rows();
                self.looked_into = rows.get(at).map(|row| (row.subject.clone(), 0));
            }
            _ => {}
        }
    }

    fn turn(&mut self, by: usize) {
        self.view = View::ALL[(self.view as usize + by) % View::ALL.len()];
    }

    /// The first column is what lists come sorted by, so the second is next.
    fn sort_by_next(&mut self) {
        let columns = self.view.columns().len();
        let column = match self.sorting() {
            None => 1,
            Some(sorting) => sorting.column + 1,
        };
        self.list_mut().sorting = (column < columns).then_some(Sorting {
            column,
            is_reversed: false,
        });
    }

    /// Selects the row that `to` makes of the selected one and the length of a page.
    fn select(&mut self, to: impl Fn(usize, usize) -> usize) {
        let page = self.page.max(1);
        let (rows, at) = self.rows();
        let at = to(at, page).min(rows.len().saturating_sub(1));
        let selected = rows.get(at).map(|row| row.subject.clone());
        let list = self.list_mut();
        list.selected = selected;
        list.at = at;
    }
}
