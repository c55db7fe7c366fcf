//! How the analysis grows with the events: `scale EVENTS` analyses so many of a made-up host and prints what it took.
//!
//! A period of a million events is made once and then told again and again, with its steps and its clock going on, so
//! that no event has to lie anywhere. `cargo xtask soak analysis-scale` runs it, once a size, since the peak of the
//! memory is that of a process.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::BinaryHeap;
use std::collections::HashMap;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use whofreed_lifecycle::Address;
use whofreed_lifecycle::Event as Change;
use whofreed_lifecycle::Holder;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::Events;
use whofreed_trace::Frame;
use whofreed_trace::Language;
use whofreed_trace::Run;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;
use whofreed_trace::Verdict;

/// Events of a period.
const PERIOD: usize = 1_000_000;
/// Events of a thread's chunk.
const CHUNK: usize = 1023;
const THREADS: u64 = 4;
/// Pools of buffers of one size.
const POOLS: u64 = 600;
/// Sites that allocate; each has its own that frees, and one that may.
const SITES: u64 = 12;
/// Callers of each site.
const CALLERS: u64 = 4;
/// Sites that free what was freed, and how many of a thousand allocates are followed by that.
const CULPRITS: [(&str, u64); 2] = [("evict_again", 30), ("late_callback", 15)];
/// Time between two events.
const TICK: u64 = 120;

/// A small generator of pseudo-random numbers (splitmix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// An event of the period, as small as can be.
#[derive(Clone, Copy)]
struct Small {
    is_allocate: bool,
    verdict: Verdict,
    stack: u16,
    buffer: u32,
    step: u32,
    tick: u32,
}

/// Buffers of one size, used again last in first out.
#[derive(Default)]
struct Pool {
    now: u64,
    free: Vec<u32>,
    /// When a buffer is to be freed, and by which stack.
    due: BinaryHeap<Reverse<(u64, u32, u16)>>,
    /// Handles of buffers that were freed.
    stale: Vec<u32>,
}

struct Host {
    random: Random,
    ledger: Vec<(u32, Address<Vec<Holder>>)>,
    is_live: Vec<bool>,
    events: Vec<(u64, Small)>,
}

impl Host {
    fn event(&mut self, is_allocate: bool, buffer: u32, stack: u16) {
        let (steps, state) = &mut self.ledger[buffer as usize];
        *steps += 1;
        let change = if is_allocate {
            Change::Allocate { owner: 0 }
        } else {
            Change::Deallocate { owner: 0 }
        };
        let Ok(outcome) = state.apply(0, change) else {
            return;
        };
        let event = Small {
            is_allocate,
            verdict: outcome.verdict,
            stack,
            buffer,
            step: *steps,
            tick: self.events.len() as u32,
        };
        let thread = self.random.below(THREADS);
        self.events.push((thread, event));
    }

    fn allocate(&mut self, pool: &mut Pool) {
        let buffer = pool.free.pop().unwrap_or_else(|| {
            self.ledger.push(Default::default());
            self.is_live.push(false);
            self.ledger.len() as u32 - 1
        });
        self.is_live[buffer as usize] = true;
        let site = self.random.below(SITES);
        let caller = self.random.below(CALLERS);
        self.event(true, buffer, (site * CALLERS + caller) as u16);
        let lives = 1 + self.random.below(60);
        let frees = if self.random.below(10) == 0 {
            self.random.below(SITES)
        } else {
            site
        };
        let stack = (SITES + frees) * CALLERS + self.random.below(CALLERS);
        let due = (pool.now + lives, buffer, stack as u16);
        pool.due.push(Reverse(due));
    }

    fn release(&mut self, pool: &mut Pool, buffer: u32, stack: u16) {
        if std::mem::take(&mut self.is_live[buffer as usize]) {
            pool.free.push(buffer);
        }
        self.event(false, buffer, stack);
    }

    fn step(&mut self, pool: &mut Pool) {
        pool.now += 1;
        self.allocate(pool);
        while let Some(&Reverse((when, buffer, stack))) = pool.due.peek()
            && when <= pool.now
        {
            pool.due.pop();
            self.release(pool, buffer, stack);
            let at = self.random.below(64) as usize;
            match pool.stale.get_mut(at) {
                Some(stale) => *stale = buffer,
                None => pool.stale.push(buffer),
            }
        }
        for (culprit, (_, often)) in (0..).zip(CULPRITS) {
            if self.random.below(1000) < often && !pool.stale.is_empty() {
                let at = self.random.below(pool.stale.len() as u64) as usize;
                let stack = (2 * SITES + culprit) * CALLERS + self.random.below(CALLERS);
                self.release(pool, pool.stale[at], stack as u16);
            }
        }
    }
}

/// A period, told again and again.
#[derive(Default)]
struct Repeated {
    period: Vec<Small>,
    /// By the place of the first event in the period.
    runs: Vec<Run>,
    /// How often each buffer is used in a period.
    steps: Vec<u32>,
    count: u64,
}

impl std::fmt::Debug for Repeated {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} events", self.count)
    }
}

impl Repeated {
    fn new(count: u64) -> Self {
        let mut host = Host {
            random: Random(7),
            ledger: Vec::new(),
            is_live: Vec::new(),
            events: Vec::new(),
        };
        let mut pools: Vec<Pool> = (0..POOLS).map(|_| Pool::default()).collect();
        let mut due = 0;
        while host.events.len() + due < PERIOD {
            let pool = host.random.below(POOLS) as usize;
            let pool = &mut pools[pool];
            due -= pool.due.len();
            for _ in 0..=host.random.below(16) {
                host.step(pool);
            }
            due += pool.due.len();
        }
        // A period ends with nothing in use, so that the next can follow.
        for pool in &mut pools {
            while let Some(Reverse((_, buffer, stack))) = pool.due.pop() {
                host.release(pool, buffer, stack);
            }
        }
        let mut open: Vec<Vec<Small>> = vec![Vec::new(); THREADS as usize];
        let (mut period, mut runs) = (Vec::new(), Vec::new());
        let mut close = |thread: usize, chunk: &mut Vec<Small>| {
            if let Some(first) = chunk.first() {
                runs.push(Run {
                    first: period.len() as u64,
                    count: chunk.len() as u64,
                    thread: thread as u32,
                    time_ns: u64::from(first.tick) * TICK,
                });
                period.append(chunk);
            }
        };
        for (thread, event) in host.events {
            let thread = thread as usize;
            open[thread].push(event);
            if open[thread].len() == CHUNK {
                close(thread, &mut open[thread]);
            }
        }
        for (thread, chunk) in open.iter_mut().enumerate() {
            close(thread, chunk);
        }
        Self {
            period,
            runs,
            steps: host.ledger.iter().map(|(steps, _)| *steps).collect(),
            count,
        }
    }

    fn tell(&self, small: &Small, round: u64, thread: u32) -> Event {
        Event {
            kind: if small.is_allocate {
                EventKind::Allocate
            } else {
                EventKind::Deallocate
            },
            verdict: small.verdict,
            blocked: false,
            late: false,
            address_was_unknown: false,
            untracked: false,
            device: 0,
            address: 0x10_0000 + u64::from(small.buffer) * 0x1000,
            owner: 0,
            root_owner: 0,
            size: if small.is_allocate { 4096 } else { 0 },
            step: u64::from(small.step) + round * u64::from(self.steps[small.buffer as usize]),
            epoch: 0,
            kind_label: 0,
            scope: 0,
            stack: StackId(u32::from(small.stack) + 1),
            thread,
            time_ns: (u64::from(small.tick) + round * self.period.len() as u64) * TICK,
        }
    }

    fn thread_of(&self, at: u64) -> u32 {
        let behind = self.runs.partition_point(|run| run.first <= at);
        behind.checked_sub(1).map_or(0, |run| self.runs[run].thread)
    }
}

impl Events for Repeated {
    fn len(&self) -> u64 {
        self.count
    }

    fn runs(&self) -> Vec<Run> {
        let mut all = Vec::new();
        for round in 0.. {
            let before = round * self.period.len() as u64;
            for run in &self.runs {
                let first = before + run.first;
                if first >= self.count {
                    return all;
                }
                all.push(Run {
                    first,
                    count: run.count.min(self.count - first),
                    thread: run.thread,
                    time_ns: run.time_ns + before * TICK,
                });
            }
        }
        all
    }

    fn read(&self, first: u64, count: usize, into: &mut Vec<Event>) {
        let len = self.period.len() as u64;
        let (round, at) = (first / len, first % len);
        let thread = self.thread_of(at);
        let range = at as usize..at as usize + count;
        let events = self.period[range].iter();
        into.extend(events.map(|small| self.tell(small, round, thread)));
    }

    fn event(&self, index: u64) -> Option<Event> {
        let mut event = Vec::new();
        if index < self.count {
            self.read(index, 1, &mut event);
        }
        event.pop()
    }
}

/// The names of the stacks.
struct Names;

impl StackNames for Names {
    fn frames(&self, _trace: usize, stack: StackId) -> Arc<[Frame]> {
        let stack = u64::from(stack.0.saturating_sub(1));
        let (site, caller) = (stack / CALLERS, stack % CALLERS);
        let name = match site {
            site if site < SITES => format!("make{site}"),
            site if site < 2 * SITES => format!("drop{}", site - SITES),
            site => CULPRITS[(site - 2 * SITES) as usize].0.to_owned(),
        };
        let frame = |function: String, line| Frame {
            function: Some(function),
            module: Arc::from("/opt/host/host"),
            offset: 0x1000,
            file: Some(Arc::from("host.cpp")),
            line,
            inlined: false,
            tail_called: false,
            language: Language::Native,
        };
        let main = frame("main".to_owned(), 1);
        Arc::from([frame(name, 10), frame(format!("caller{caller}"), 20), main])
    }
}

/// The most memory that the process ever had, in MiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// How long the thread has been on a core, in seconds: others may be running here too.
fn on_core() -> f64 {
    let spent = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = spent.split_whitespace().next().and_then(|n| n.parse().ok());
    nanoseconds.unwrap_or(0.0) / 1e9
}

fn main() {
    let count = std::env::args().nth(1).and_then(|count| count.parse().ok());
    let Some(count) = count else {
        eprintln!("scale: how many events?");
        std::process::exit(2);
    };
    let events = Repeated::new(count);
    let addresses = events.steps.len();
    let before = peak();
    let traces = [Trace {
        id: 1,
        events,
        ..Trace::default()
    }];
    let start = (Instant::now(), on_core());
    let totals = whofreed_analysis::sums(&traces);
    let replay = on_core() - start.1;
    println!("replay_wall_s={:.2}", start.0.elapsed().as_secs_f64());
    if std::env::args().nth(2).as_deref() == Some("replay") {
        println!("replay_s={replay:.2}");
        println!("peak_mib={}", peak());
        return;
    }
    let start = (Instant::now(), on_core());
    let analysis = whofreed_analysis::analyse(&traces, &Names);
    let whole = on_core() - start.1;
    println!("whole_wall_s={:.2}", start.0.elapsed().as_secs_f64());
    assert_eq!(analysis.totals.excess, totals.excess);
    let mut culprits = BTreeMap::new();
    for culprit in &analysis.culprits {
        let name = culprit.site.frame.function.clone().unwrap_or_default();
        *culprits.entry(name).or_insert(0) += culprit.explains;
    }
    let named: HashMap<&str, u64> = CULPRITS.into_iter().collect();
    let is_exact = culprits.len() == named.len()
        && culprits
            .keys()
            .all(|name| named.contains_key(name.as_str()));
    println!("events={count}");
    println!("addresses={addresses}");
    println!("excess={}", totals.excess);
    println!("replay_s={replay:.2}");
    println!("whole_s={whole:.2}");
    println!("generator_mib={before}");
    println!("peak_mib={}", peak());
    println!("exact={is_exact}");
    println!("culprits={culprits:?}");
    println!("unexplained={}", analysis.totals.unexplained);
}
