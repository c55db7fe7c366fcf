//! The plain ways to find a culprit, for comparison. They are given what the engine has to find out: which frame of
//! each stack names it, and how many culprits there are.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use whofreed_trace::EventKind;

use crate::host::Host;

/// A way to find culprits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// A dump of the stack at each excess free: the sites seen most often.
    Plain,
    /// Spectrum-based fault localization over the lives of buffers, a life that was freed twice having failed, by
    /// the coefficient of Ochiai (Abreu, Zoeteweij, van Gemund: "On the Accuracy of Spectrum-based Fault
    /// Localization", 2007).
    Ochiai,
    /// The same by Tarantula's (Jones, Harrold: "Empirical Evaluation of the Tarantula Automatic Fault-Localization
    /// Technique", 2005).
    Tarantula,
    /// Removes the site whose frees, taken out, lower excess plus unfreed buffers most; again until nothing does. It is
    /// not told how many culprits there are.
    Removal,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Plain, Self::Ochiai, Self::Tarantula, Self::Removal];

    /// The word in tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain dump",
            Self::Ochiai => "Ochiai",
            Self::Tarantula => "Tarantula",
            Self::Removal => "removal",
        }
    }

    /// The sites that this method accuses.
    #[must_use]
    pub fn accuse(self, host: &Host) -> BTreeSet<String> {
        let logs = logs(host);
        let culprits = host.all_truth().len();
        match self {
            Self::Plain => plain(host, culprits),
            Self::Removal => removal(&logs),
            Self::Ochiai => spectrum(&logs, culprits, |failed, passed, all_failed, _| {
                failed / (all_failed * (failed + passed)).sqrt().max(1e-9)
            }),
            Self::Tarantula => {
                spectrum(&logs, culprits, |failed, passed, all_failed, all_passed| {
                    let (fails, passes) =
                        (failed / all_failed.max(1.0), passed / all_passed.max(1.0));
                    fails / (fails + passes).max(1e-9)
                })
            }
        }
    }
}

/// What happened at one address: `None` for an allocate, the site for a free.
type Log = Vec<Option<String>>;

fn logs(host: &Host) -> Vec<Log> {
    let mut logs: BTreeMap<(usize, u32, u64), Log> = BTreeMap::new();
    for (process, of) in std::iter::once(host).chain(&host.children).enumerate() {
        for event in of.events() {
            let log = logs
                .entry((process, event.device, event.address))
                .or_default();
            match event.kind {
                EventKind::Allocate | EventKind::Retain => log.push(None),
                EventKind::Deallocate => log.push(Some(of.names.naming(event.stack).to_owned())),
                _ => {}
            }
        }
    }
    logs.into_values().collect()
}

fn most(scores: BTreeMap<String, f64>, count: usize) -> BTreeSet<String> {
    let mut order: Vec<(String, f64)> = scores.into_iter().filter(|(_, s)| *s > 0.0).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    order
        .into_iter()
        .take(count)
        .map(|(site, _)| site)
        .collect()
}

fn plain(host: &Host, culprits: usize) -> BTreeSet<String> {
    let mut scores: BTreeMap<String, f64> = BTreeMap::new();
    for of in std::iter::once(host).chain(&host.children) {
        for (site, &count) in &of.seen {
            *scores.entry(site.clone()).or_default() += count as f64;
        }
    }
    most(scores, culprits)
}

fn spectrum(
    logs: &[Log],
    culprits: usize,
    coefficient: impl Fn(f64, f64, f64, f64) -> f64,
) -> BTreeSet<String> {
    let mut seen: BTreeMap<&str, (f64, f64)> = BTreeMap::new();
    let (mut all_failed, mut all_passed) = (0.0, 0.0);
    for log in logs {
        for life in log.split(Option::is_none) {
            let sites: BTreeSet<&str> = life.iter().flatten().map(String::as_str).collect();
            let failed = life.len() > 1;
            *if failed {
                &mut all_failed
            } else {
                &mut all_passed
            } += 1.0;
            for site in sites {
                let counts = seen.entry(site).or_default();
                *if failed { &mut counts.0 } else { &mut counts.1 } += 1.0;
            }
        }
    }
    let scores = seen
        .into_iter()
        .map(|(site, (failed, passed))| {
            (
                site.to_owned(),
                coefficient(failed, passed, all_failed, all_passed),
            )
        })
        .collect();
    most(scores, culprits)
}

fn removal(logs: &[Log]) -> BTreeSet<String> {
    let sites: BTreeSet<&String> = logs.iter().flatten().flatten().collect();
    let cost = |removed: &BTreeSet<String>| -> u64 {
        let mut cost = 0;
        for log in logs {
            let mut live = 0u64;
            for step in log {
                match step {
                    None => live += 1,
                    Some(site) if removed.contains(site) => {}
                    Some(_) if live > 0 => live -= 1,
                    Some(_) => cost += 1,
                }
            }
            cost += live;
        }
        cost
    };
    let mut removed = BTreeSet::new();
    let mut best = cost(&removed);
    loop {
        let with = |site: &String| {
            let mut with: BTreeSet<String> = removed.clone();
            with.insert(site.clone());
            (cost(&with), with)
        };
        let left = sites.iter().filter(|site| !removed.contains(**site));
        let Some((lowest, next)) = left.map(|site| with(site)).min_by_key(|(cost, _)| *cost) else {
            return removed;
        };
        if lowest >= best {
            return removed;
        }
        (best, removed) = (lowest, next);
    }
}
