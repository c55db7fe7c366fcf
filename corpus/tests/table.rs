//! Measures the blame on the simulated hosts: to name an innocent is the one thing that must not happen.
//!
//! `WHOFREED_CORPUS_SEEDS=from..to` and `WHOFREED_CORPUS_STEPS=n` ask for other and more hosts, `WHOFREED_CORPUS_ONLY`
//! for one pattern.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod mark;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;

use whofreed_analysis::Analysis;
use whofreed_analysis::analyse;
use whofreed_corpus::Owners;
use whofreed_corpus::methods::Method;
use whofreed_corpus::patterns;
use whofreed_corpus::patterns::PATTERNS;
use whofreed_corpus::patterns::Pattern;
use whofreed_corpus::patterns::Run;
use whofreed_corpus::patterns::Tells;

use self::mark::Mark;
use self::mark::mark;
use self::mark::name;

fn check_sums(run: &Run, analysis: &Analysis) {
    let totals = &analysis.totals;
    let culprits = || analysis.culprits.iter();
    let explained: u64 = culprits().map(|culprit| culprit.explains).sum();
    let observed: u64 = culprits().map(|culprit| culprit.observed).sum();
    let victims: u64 = analysis.victims.iter().map(|victim| victim.observed).sum();
    let excess = run.host.excess + run.host.children.iter().map(|c| c.excess).sum::<u64>();
    assert_eq!(totals.excess, excess);
    assert_eq!(explained + totals.unexplained, totals.excess);
    assert!(victims + observed <= totals.excess);
    assert!(analysis.damage.is_empty(), "{:?}", analysis.damage);
}

/// The sums of one pattern.
#[derive(Clone, Debug, Default)]
struct Sums {
    marks: BTreeMap<Mark, u32>,
    /// Of the runs whose log can tell: how many there are, and how many are exact.
    telling: (u32, u32),
    /// Of the runs in which no event was lost: the same.
    lossless: (u32, u32),
    excess: u64,
    explained: u64,
    seen_at_culprits: u64,
    methods: BTreeMap<Method, u32>,
    runs: u32,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        for (mark, count) in &other.marks {
            *self.marks.entry(*mark).or_default() += count;
        }
        for (method, count) in &other.methods {
            *self.methods.entry(*method).or_default() += count;
        }
        self.telling.0 += other.telling.0;
        self.telling.1 += other.telling.1;
        self.lossless.0 += other.lossless.0;
        self.lossless.1 += other.lossless.1;
        self.excess += other.excess;
        self.explained += other.explained;
        self.seen_at_culprits += other.seen_at_culprits;
        self.runs += other.runs;
    }

    fn count(&self, mark: Mark) -> u32 {
        self.marks.get(&mark).copied().unwrap_or(0)
    }

    fn row(&self, name: &str) -> String {
        let percent = |part: u64, all: u64| match all {
            0 => String::new(),
            _ => format!("{:.1} %", 100.0 * part as f64 / all as f64),
        };
        let mut row = format!(
            "| {name} | {} | {} | {} | {} | {} of {} | {} | {}",
            self.count(Mark::Exact),
            self.count(Mark::Either),
            self.count(Mark::Missed),
            self.count(Mark::Bad),
            self.telling.1,
            self.telling.0,
            percent(self.explained, self.excess),
            percent(self.seen_at_culprits, self.excess),
        );
        for method in Method::ALL {
            let right = self.methods.get(&method).copied().unwrap_or(0);
            // Writing to a string cannot fail.
            let _ = write!(row, " | {right}");
        }
        row + " |"
    }
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn seeds(usual: Range<u64>) -> Range<u64> {
    let Some(range) = setting("WHOFREED_CORPUS_SEEDS") else {
        return usual;
    };
    let (from, to) = range.split_once("..").unwrap();
    from.parse().unwrap()..to.parse().unwrap()
}

fn measure_pattern(pattern: Pattern, owners: Owners, seeds: &Range<u64>) -> (Sums, Vec<String>) {
    let steps = setting("WHOFREED_CORPUS_STEPS").map_or(1_500, |steps| steps.parse().unwrap());
    let mut sums = Sums::default();
    let mut told = Vec::new();
    for seed in seeds.clone() {
        let run = patterns::run(pattern, seed, owners, steps);
        let host = &run.host;
        let truth = host.all_truth();
        let analysis = analyse(&host.traces(), host);
        check_sums(&run, &analysis);
        let mark = mark(&truth, &analysis);
        *sums.marks.entry(mark).or_default() += 1;
        sums.runs += 1;
        if run.is_telling() {
            sums.telling.0 += 1;
            sums.telling.1 += u32::from(mark == Mark::Exact);
        }
        if host.dropped == 0 {
            sums.lossless.0 += 1;
            sums.lossless.1 += u32::from(mark == Mark::Exact);
        }
        sums.excess += analysis.totals.excess;
        sums.explained += analysis.totals.excess - analysis.totals.unexplained;
        sums.seen_at_culprits += host.seen_at_culprits();
        for method in Method::ALL {
            let right = method.accuse(host) == truth.keys().cloned().collect();
            *sums.methods.entry(method).or_default() += u32::from(right);
        }
        if mark != Mark::Exact {
            let named: Vec<String> = analysis
                .culprits
                .iter()
                .map(|culprit| {
                    let others: Vec<String> = culprit.alternatives.iter().map(name).collect();
                    format!(
                        "{} {} {} {others:?}",
                        name(&culprit.site),
                        culprit.confidence.name(),
                        culprit.explains
                    )
                })
                .collect();
            told.push(format!(
                "{owners:?} {} seed {seed} {mark:?}{}: truth {truth:?}, excess {}, said {named:?}",
                pattern.name,
                if run.is_telling() {
                    ""
                } else {
                    " (not telling)"
                },
                analysis.totals.excess
            ));
        }
        let is_clean = run.tells == Tells::Nobody;
        assert!(!is_clean || analysis.culprits.is_empty() || mark == Mark::Bad);
    }
    (sums, told)
}

/// Measures all patterns and prints the table. Returns the sums of all of them.
fn measure(owners: Owners, usual: Range<u64>) -> Sums {
    let seeds = seeds(usual);
    let only = setting("WHOFREED_CORPUS_ONLY");
    let chosen: Vec<Pattern> = PATTERNS
        .iter()
        .filter(|pattern| only.as_deref().is_none_or(|only| only == pattern.name))
        .copied()
        .collect();
    println!(
        "| pattern | exact | either | missed | innocent named | exact where the log can tell | explained | plain dump right | {} |",
        Method::ALL.map(Method::name).join(" | ")
    );
    let mut all = Sums::default();
    let mut bad = Vec::new();
    for pattern in chosen {
        let (sums, told) = measure_pattern(pattern, owners, &seeds);
        println!("{}", sums.row(pattern.name));
        for line in told {
            if line.contains(" Bad") {
                bad.push(line.clone());
            }
            eprintln!("{line}");
        }
        all.add(&sums);
    }
    println!("{}", all.row("all"));
    assert!(bad.is_empty(), "innocents named:\n{}", bad.join("\n"));
    all
}

#[test]
fn unique_owners_are_exact() {
    let all = measure(Owners::Unique, 0..2);
    // A lost event may have given a right, so that few frees prove nothing then.
    assert!(all.lossless.0 > 0);
    assert_eq!(all.lossless.1, all.lossless.0);
}

#[test]
fn without_owners_no_innocent_is_named() {
    measure(Owners::Unknown, 0..2);
}

#[test]
fn pointers_mislead_nobody() {
    measure(Owners::Pointers, 2..3);
}
