//! Tells somebody at a terminal how far long work is: replaying events and looking up names takes minutes for the largest
//! traces. Work that is done within a second, and whoever is no terminal, hears nothing.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::Sender;
use std::sync::mpsc::channel;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::HumanCount;
use indicatif::ProgressBar;
use indicatif::ProgressDrawTarget;
use indicatif::ProgressStyle;
use whofreed_symbols::Watcher;
use whofreed_trace::Event;
use whofreed_trace::Events;
use whofreed_trace::FileEvents;
use whofreed_trace::Run;

/// Nobody is told before.
const PATIENCE: Duration = Duration::from_secs(1);
/// So often it is told.
const EVERY: Duration = Duration::from_millis(200);

/// How far it is. Only for display: nobody waits for anybody by these.
#[derive(Debug, Default)]
struct Counts {
    events: AtomicU64,
    of_events: AtomicU64,
    names: AtomicU64,
    of_names: AtomicU64,
}

impl Counts {
    /// What is being done, and how much of how much is.
    fn now(&self) -> (&'static str, u64, u64) {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let (events, of_events) = (of(&self.events), of(&self.of_events));
        let (names, of_names) = (of(&self.names), of(&self.of_names));
        if names < of_names {
            ("looking up call sites", names, of_names)
        } else if events < of_events {
            ("replaying events", events, of_events)
        } else if of_events == 0 {
            ("reading traces", 0, 0)
        } else {
            ("working out who did it", 0, 0)
        }
    }
}

/// What is in sight, for messages that come between.
static IN_SIGHT: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Writes something else to the terminal: what is in sight makes way.
pub(crate) fn aside<T>(write: impl FnOnce() -> T) -> T {
    let bar = IN_SIGHT.lock().unwrap_or_else(PoisonError::into_inner);
    match &*bar {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// Work that is under way; nothing of it is in sight any more when this is dropped.
#[derive(Debug)]
pub(crate) struct Progress {
    counts: Arc<Counts>,
    /// The thread that tells, and what ends it when it is dropped.
    teller: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
}

impl Progress {
    /// Begins to tell, where stderr is a terminal.
    pub(crate) fn begin() -> Self {
        let counts = Arc::new(Counts::default());
        let target = ProgressDrawTarget::stderr();
        let (over, is_over) = channel();
        let told = Arc::clone(&counts);
        let teller = (!target.is_hidden()).then(|| {
            let tell = move || {
                if is_over.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                    tell(&told, target, || {
                        is_over.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout)
                    });
                }
            };
            let builder = thread::Builder::new().name("whofreed-tells".to_owned());
            Some((over, builder.spawn(tell).ok()?))
        });
        Self {
            counts,
            teller: Mutex::new(teller.flatten()),
        }
    }

    /// There is something else to see now.
    pub(crate) fn end(&self) {
        let mut teller = self.teller.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((over, teller)) = teller.take() {
            drop(over);
            // One that has panicked has told enough.
            let _ = teller.join();
        }
    }

    /// The events, which count when they are read.
    pub(crate) fn watch(&self, events: FileEvents) -> Watched {
        self.counts
            .of_events
            .fetch_add(events.len(), Ordering::Relaxed);
        Watched {
            events,
            counts: Arc::clone(&self.counts),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.end();
    }
}

impl Watcher for Progress {
    fn will_look_up(&self, call_sites: usize) {
        let more = call_sites as u64;
        self.counts.of_names.fetch_add(more, Ordering::Relaxed);
    }

    fn has_looked_up(&self, call_sites: usize) {
        let more = call_sites as u64;
        self.counts.names.fetch_add(more, Ordering::Relaxed);
    }
}

/// Draws until it is over.
fn tell(counts: &Counts, target: ProgressDrawTarget, is_over: impl Fn() -> bool) {
    let bar = ProgressBar::with_draw_target(None, target);
    // The form is ours, and right.
    if let Ok(style) = ProgressStyle::with_template("whofreed: {msg} {elapsed}") {
        bar.set_style(style);
    }
    let sight = |bar| *IN_SIGHT.lock().unwrap_or_else(PoisonError::into_inner) = bar;
    sight(Some(bar.clone()));
    loop {
        let (what, done, of) = counts.now();
        let percent = done.saturating_mul(100).checked_div(of);
        bar.set_message(match percent {
            None => format!("{what},"),
            Some(percent) => {
                let (done, of) = (HumanCount(done), HumanCount(of));
                format!("{what}: {done} of {of} ({percent} %),")
            }
        });
        bar.tick();
        if is_over() {
            break;
        }
    }
    sight(None);
    bar.finish_and_clear();
}

/// Events of a file whose reading is counted.
#[derive(Debug)]
pub(crate) struct Watched {
    events: FileEvents,
    counts: Arc<Counts>,
}

impl Events for Watched {
    fn len(&self) -> u64 {
        self.events.len()
    }

    fn runs(&self) -> Vec<Run> {
        self.events.runs()
    }

    fn read(&self, first: u64, count: usize, into: &mut Vec<Event>) {
        let before = into.len();
        self.events.read(first, count, into);
        let more = (into.len() - before) as u64;
        self.counts.events.fetch_add(more, Ordering::Relaxed);
    }

    fn event(&self, index: u64) -> Option<Event> {
        self.events.event(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_what_is_being_done() {
        let counts = Counts::default();
        let add = |count: &AtomicU64, more| {
            count.fetch_add(more, Ordering::Relaxed);
            counts.now()
        };
        assert_eq!(counts.now(), ("reading traces", 0, 0));
        assert_eq!(add(&counts.of_events, 10), ("replaying events", 0, 10));
        assert_eq!(add(&counts.events, 4), ("replaying events", 4, 10));
        assert_eq!(add(&counts.events, 6), ("working out who did it", 0, 0));
        assert_eq!(add(&counts.of_names, 3), ("looking up call sites", 0, 3));
        assert_eq!(add(&counts.names, 3), ("working out who did it", 0, 0));
    }

    #[test]
    fn messages_are_written_whether_anything_is_in_sight_or_not() {
        assert_eq!(aside(|| 7), 7);
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        *IN_SIGHT.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar);
        assert_eq!(aside(|| 8), 8);
        *IN_SIGHT.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
