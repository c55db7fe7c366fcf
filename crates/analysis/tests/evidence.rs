//! What is shown of the evidence against a culprit, held against what really happened.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use whofreed_analysis::Analysis;
use whofreed_analysis::Confidence;
use whofreed_analysis::Culprit;
use whofreed_analysis::HistoryStep;
use whofreed_analysis::Rules;
use whofreed_analysis::Site;
use whofreed_analysis::analyse;
use whofreed_analysis::analyse_cut;
use whofreed_analysis::history_with_blame;
use whofreed_corpus::Host;
use whofreed_corpus::Owners;
use whofreed_corpus::Reuse;
use whofreed_corpus::patterns;
use whofreed_trace::Event;
use whofreed_trace::EventKind;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;
use whofreed_trace::Verdict;

/// A process with one device that has one block.
fn host(owners: Owners) -> Host {
    let mut host = Host::new(1, owners, 1, Reuse::LastFirst, 1);
    host.only_thread = Some(1);
    host
}

fn name(site: &Site) -> &str {
    site.frame.function.as_deref().unwrap()
}

fn only_culprit(host: &Host) -> Culprit {
    let mut analysis = analyse(&host.traces(), &host.names);
    assert_eq!(analysis.culprits.len(), 1);
    analysis.culprits.remove(0)
}

/// Lives of the block that end as they should.
fn live(host: &mut Host, lives: usize) {
    for _ in 0..lives {
        let other = host.allocate("other_alloc", 0);
        host.free("other_free", other);
    }
}

#[test]
fn a_stale_pointer_is_told_by_its_lives() {
    let mut host = host(Owners::Unique);
    live(&mut host, 2);
    let stale = host.allocate("stale_alloc", 0);
    host.only_thread = Some(5);
    host.free("stale_free", stale);
    host.only_thread = Some(6);
    live(&mut host, 3);
    let _struck = host.allocate("struck_alloc", 0);
    host.free("cache", stale);
    let last = *host.events().last().unwrap();
    let culprit = only_culprit(&host);
    assert_eq!(culprit.confidence, Confidence::Proven);
    let reuse = &culprit.example.reuse;
    assert_eq!((reuse.life, reuse.freed_by), (Some(3), Some(5)));
    assert_eq!((reuse.hit_life, reuse.lives), (Some(7), 7));
    assert_eq!(name(reuse.hit_site.as_ref().unwrap()), "struck_alloc");
    assert!(!reuse.never_held && !reuse.was_dead);
    let evidence = &culprit.evidence;
    assert_eq!(evidence.innocence_costs, None, "nothing was fitted");
    assert_eq!(evidence.first, evidence.last);
    let moment = evidence.first.unwrap();
    assert_eq!((moment.pid, moment.thread), (7, 6));
    assert_eq!(moment.time_ns, last.time_ns);
    let start = host.events()[0].time_ns;
    assert_eq!(moment.since_start_ns, last.time_ns - start);
    assert_eq!((evidence.thread_count, evidence.threads[0].frees), (1, 1));
    assert_eq!(name(&evidence.hits[0].site), "struck_alloc");
}

#[test]
fn a_dead_buffer_is_hit_by_who_frees_it_again() {
    let mut host = host(Owners::Unique);
    live(&mut host, 2);
    let twice = host.allocate("twice_alloc", 0);
    host.free("twice_free", twice);
    host.free("twice_free_again", twice);
    let culprit = only_culprit(&host);
    let reuse = &culprit.example.reuse;
    assert_eq!(
        (reuse.life, reuse.hit_life, reuse.lives),
        (Some(3), None, 3)
    );
    assert!(reuse.was_dead && !reuse.never_held);
    assert_eq!(name(&culprit.evidence.hits[0].site), "twice_alloc");
}

#[test]
fn who_never_held_an_address_has_no_life_there() {
    let mut host = host(Owners::Unique);
    live(&mut host, 1);
    let held = host.allocate("held_alloc", 0);
    let stranger = host.alias(held);
    host.free("stranger_free", stranger);
    let reuse = only_culprit(&host).example.reuse;
    assert!(reuse.never_held && !reuse.was_dead);
    assert_eq!((reuse.life, reuse.hit_life), (None, Some(2)));
}

#[test]
fn a_child_goes_on_counting_its_parent_s_lives() {
    let mut host = host(Owners::Unique);
    live(&mut host, 2);
    let stale = host.allocate("stale_alloc", 0);
    host.free("stale_free", stale);
    let mut child = host.fork();
    live(&mut child, 1);
    let _struck = child.allocate("struck_alloc", 0);
    child.free("cache", stale);
    // Parent and child know their stacks by the same names.
    host.names = child.names.clone();
    host.children.push(child);
    let culprit = only_culprit(&host);
    let reuse = &culprit.example.reuse;
    assert_eq!((reuse.life, reuse.hit_life), (Some(3), Some(5)));
    assert_eq!(culprit.evidence.first.unwrap().pid, 8);
}

#[test]
fn threads_and_call_sites_are_told_by_how_often() {
    let mut host = host(Owners::Unique);
    for (thread, times) in [(4, 2), (5, 9), (6, 1), (7, 3), (8, 4)] {
        for _ in 0..times {
            let stale = host.allocate("stale_alloc", 0);
            host.free("stale_free", stale);
            let struck = host.allocate(&format!("Device::allocate < alloc_of_{thread} < main"), 0);
            host.only_thread = Some(thread);
            host.free("cache", stale);
            host.only_thread = Some(1);
            host.free("rightful", struck);
        }
    }
    let evidence = only_culprit(&host).evidence;
    let threads: Vec<(u32, u64)> = evidence
        .threads
        .iter()
        .map(|t| (t.thread, t.frees))
        .collect();
    assert_eq!(threads, [(5, 9), (8, 4), (7, 3)]);
    assert_eq!(evidence.thread_count, 5);
    let hits: Vec<(&str, u64)> = evidence
        .hits
        .iter()
        .map(|hits| (name(&hits.site), hits.frees))
        .collect();
    assert_eq!(
        hits,
        [("alloc_of_5", 9), ("alloc_of_8", 4), ("alloc_of_7", 3)]
    );
    assert_eq!(evidence.hit_sites, 5);
    let (first, last) = (evidence.first.unwrap(), evidence.last.unwrap());
    assert_eq!((first.thread, last.thread), (4, 8));
}

/// The allocate or retain that began a life.
fn began(steps: &[Event], life: u64) -> Event {
    let begins = |event: &&Event| {
        event.kind == EventKind::Allocate
            || event.kind == EventKind::Retain && event.verdict == Verdict::Ok
    };
    let begins = steps.iter().filter(begins);
    *begins.clone().nth(life as usize - 1).unwrap()
}

/// The events of the process with the example, at its address, in their order.
fn steps_of(culprit: &Culprit, traces: &[Trace]) -> Vec<Event> {
    let example = &culprit.example;
    let of_pid = |trace: &&Trace| trace.process.pid == example.pid;
    let trace = traces.iter().find(of_pid).unwrap();
    let here = |event: &&Event| (event.device, event.address) == (example.device, example.address);
    let mut steps: Vec<Event> = trace.events.iter().filter(here).copied().collect();
    steps.sort_by_key(|event| event.step);
    steps
}

fn check(host: &Host, traces: &[Trace], analysis: &Analysis) -> u32 {
    let mut told = 0;
    for culprit in &analysis.culprits {
        let evidence = &culprit.evidence;
        assert_eq!(
            evidence.innocence_costs.is_none(),
            culprit.confidence == Confidence::Proven
        );
        if let (Some(costs), Confidence::Counterfactual) =
            (evidence.innocence_costs, culprit.confidence)
        {
            assert!(costs >= 6.0, "{costs}");
        }
        let (first, last) = (evidence.first.unwrap(), evidence.last.unwrap());
        assert!(first.time_ns <= last.time_ns);
        let by_threads: u64 = evidence.threads.iter().map(|of| of.frees).sum();
        assert!(by_threads <= culprit.explains);
        assert_eq!(by_threads == culprit.explains, evidence.thread_count <= 3);
        let hits: u64 = evidence.hits.iter().map(|hits| hits.frees).sum();
        assert!(hits > 0 && hits <= culprit.explains);
        // Of a forked child the parent's lives count, and of a lossy trace some are missing.
        if traces.len() > 1 || host.dropped > 0 {
            continue;
        }
        let example = &culprit.example;
        let steps = steps_of(culprit, traces);
        let frames = |event: Event| host.names.frames(0, event.stack);
        if let Some(life) = example.reuse.life {
            assert_eq!(frames(began(&steps, life)), example.allocated);
            assert!(life <= example.reuse.lives);
        }
        if let Some(hit) = example.reuse.hit_life {
            let site = example.reuse.hit_site.as_ref().unwrap();
            assert!(frames(began(&steps, hit)).contains(&site.frame));
            assert!(
                example.reuse.life.is_none_or(|life| life < hit),
                "{:?}",
                example.reuse
            );
            assert!(!example.reuse.was_dead);
            told += 1;
        }
        // The address had seen so many lives at one of the frees with this stack.
        let mut lives = 0;
        let at_a_free = steps.iter().any(|&event| {
            lives +=
                u64::from(event.kind == EventKind::Allocate || event.kind == EventKind::Retain);
            let is_it = event.kind == EventKind::Deallocate && frames(event) == example.excess;
            is_it && event.thread == example.thread && lives == example.reuse.lives
        });
        assert!(at_a_free, "{example:?}");
    }
    told
}

#[test]
fn the_evidence_fits_the_log_for_every_kind_of_host() {
    let mut told = 0;
    for pattern in patterns::PATTERNS {
        for owners in [Owners::Unknown, Owners::Unique, Owners::Pointers] {
            let host = patterns::run(*pattern, 2, owners, 900).host;
            let traces = host.traces();
            told += check(&host, &traces, &analyse(&traces, &host.names));
            told += check(&host, &traces, &analyse_cut(&traces, &host.names, 0));
        }
    }
    assert!(told > 50, "{told}");
}

#[test]
fn a_history_marks_what_is_charged() {
    for owners in [Owners::Unknown, Owners::Unique] {
        let host = patterns::run(patterns::find("stale").unwrap(), 3, owners, 1_200).host;
        let traces = host.traces();
        let analysis = analyse(&traces, &host.names);
        let mut addresses: Vec<(u32, u64)> = host
            .events()
            .iter()
            .map(|e| (e.device, e.address))
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        let rules = Rules::of(&traces);
        let of = |&(device, address): &(u32, u64)| {
            history_with_blame(&traces, &host.names, &rules, device, address)
        };
        let steps: Vec<HistoryStep> = addresses.iter().flat_map(of).collect();
        for (index, culprit) in analysis.culprits.iter().enumerate() {
            let charged: Vec<&HistoryStep> = steps
                .iter()
                .filter(|step| step.charged_to.is_some_and(|to| to.culprit == index))
                .collect();
            assert_eq!(charged.len() as u64, culprit.explains);
            for step in charged {
                assert_eq!(step.event.kind, EventKind::Deallocate);
                assert_eq!(step.charged_to.unwrap().confidence, culprit.confidence);
                let frames = host.names.frames(0, step.event.stack);
                assert!(frames.contains(&culprit.site.frame), "{frames:?}");
            }
        }
    }
}
