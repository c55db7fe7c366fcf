//! All short logs of one address: nobody is accused who is innocent in some story that fits the log.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeSet;

use whofreed_analysis::Confidence;
use whofreed_analysis::analyse;
use whofreed_corpus::Host;
use whofreed_corpus::Owners;
use whofreed_corpus::Reuse;
use whofreed_trace::EventKind;
use whofreed_trace::Trace;

const ALLOCATE: u8 = 0;

/// The culprits of every story of `log` in which each holder frees its buffer once, the last may keep it.
fn stories(log: &[u8]) -> BTreeSet<BTreeSet<u8>> {
    fn tell(
        rest: &[u8],
        open: u32,
        ended: u32,
        culprits: &BTreeSet<u8>,
        all: &mut BTreeSet<BTreeSet<u8>>,
    ) {
        let Some((&event, rest)) = rest.split_first() else {
            if open == 0 {
                all.insert(culprits.clone());
            }
            return;
        };
        if event == ALLOCATE {
            tell(rest, open + 1, ended, culprits, all);
            if rest.is_empty() {
                tell(rest, open, ended, culprits, all);
            }
            return;
        }
        if open > 0 {
            tell(rest, open - 1, ended + 1, culprits, all);
        }
        if ended > 0 {
            let mut more = culprits.clone();
            more.insert(event);
            tell(rest, open, ended, &more, all);
        }
    }
    let mut all = BTreeSet::new();
    tell(log, 0, 0, &BTreeSet::new(), &mut all);
    all
}

/// The log as one address of a trace.
fn trace_of(log: &[u8]) -> (Trace, Host) {
    let mut host = Host::new(1, Owners::Unknown, 1, Reuse::LastFirst, 1);
    let mut buffer = host.allocate("A", 0);
    for &event in &log[1..] {
        match event {
            ALLOCATE => {
                // Whatever the pool believes, the block is handed out again.
                host.release(buffer);
                buffer = host.allocate("A", 0);
            }
            site => host.free(&format!("F{site}"), buffer),
        }
    }
    (host.trace(), host)
}

#[test]
fn an_accusation_fits_every_story() {
    let (mut accused, mut hinted) = (0, 0);
    for length in 2..=7_u32 {
        for number in 0..3_u32.pow(length - 1) {
            let mut log = vec![ALLOCATE];
            log.extend((0..length - 1).map(|place| (number / 3_u32.pow(place) % 3) as u8));
            let (trace, host) = trace_of(&log);
            let allocates = log.iter().filter(|&&event| event == ALLOCATE).count();
            let recorded = trace
                .events
                .iter()
                .filter(|e| e.kind == EventKind::Allocate)
                .count();
            assert_eq!(allocates, recorded);
            assert!(
                trace
                    .events
                    .iter()
                    .all(|event| event.address == trace.events[0].address)
            );
            let stories = stories(&log);
            let analysis = analyse(&[trace], &host.names);
            let victims: BTreeSet<_> = analysis.victims.iter().map(|v| &v.site).collect();
            for culprit in &analysis.culprits {
                let number = |site: &str| site[1..].parse::<u8>().unwrap();
                let mut named: BTreeSet<u8> = culprit
                    .alternatives
                    .iter()
                    .map(|site| number(site.frame.function.as_deref().unwrap()))
                    .collect();
                named.insert(number(culprit.site.frame.function.as_deref().unwrap()));
                let mut suspects = culprit.alternatives.iter().chain([&culprit.site]);
                assert!(
                    !suspects.any(|site| victims.contains(site)),
                    "{log:?}: {named:?} {victims:?}"
                );
                if culprit.confidence == Confidence::Undecided {
                    hinted += 1;
                } else {
                    accused += 1;
                }
                for story in &stories {
                    let fits = if culprit.confidence == Confidence::Undecided {
                        !story.is_disjoint(&named)
                    } else {
                        story.is_superset(&named)
                    };
                    assert!(
                        fits,
                        "{log:?}: {named:?} {:?}, but also {story:?}",
                        culprit.confidence
                    );
                }
            }
        }
    }
    // One site that frees twice is certain even so; of two sites either may be it.
    assert!(accused > 0);
    assert!(hinted > 0);
}
