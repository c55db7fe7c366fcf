//! What speaks against a culprit, in its object.

use serde::Serialize;
use whofreed_analysis::Evidence;
use whofreed_analysis::Hits;
use whofreed_analysis::Moment;
use whofreed_analysis::Reuse;
use whofreed_analysis::ScopeFrees;
use whofreed_analysis::ThreadFrees;

use super::SiteView;

/// The keys stand in the object of the culprit itself.
#[derive(Serialize)]
pub(super) struct EvidenceView<'a> {
    innocence_costs: Option<f64>,
    first: Option<MomentView>,
    last: Option<MomentView>,
    threads: Vec<ThreadView>,
    thread_count: u64,
    scopes: Vec<ScopeView<'a>>,
    allocation_sites: Vec<HitsView<'a>>,
    allocation_site_count: u64,
    allocation_sites_unknown: u64,
}

impl<'a> EvidenceView<'a> {
    pub(super) fn new(evidence: &'a Evidence) -> Self {
        Self {
            // More digits would say more than there is to know.
            innocence_costs: evidence
                .innocence_costs
                .map(|nats| (nats * 10.0).round() / 10.0),
            first: evidence.first.map(MomentView::new),
            last: evidence.last.map(MomentView::new),
            threads: evidence.threads.iter().map(ThreadView::new).collect(),
            thread_count: evidence.thread_count,
            scopes: evidence.scopes.iter().map(ScopeView::new).collect(),
            allocation_sites: evidence.hits.iter().map(HitsView::new).collect(),
            allocation_site_count: evidence.hit_sites,
            allocation_sites_unknown: evidence.hits_unknown,
        }
    }
}

#[derive(Serialize)]
struct MomentView {
    pid: u32,
    thread: u32,
    time_ns: u64,
    since_start_ns: u64,
}

impl MomentView {
    const fn new(moment: Moment) -> Self {
        Self {
            pid: moment.pid,
            thread: moment.thread,
            time_ns: moment.time_ns,
            since_start_ns: moment.since_start_ns,
        }
    }
}

#[derive(Serialize)]
struct ThreadView {
    pid: u32,
    thread: u32,
    frees: u64,
}

impl ThreadView {
    const fn new(of: &ThreadFrees) -> Self {
        Self {
            pid: of.pid,
            thread: of.thread,
            frees: of.frees,
        }
    }
}

#[derive(Serialize)]
struct ScopeView<'a> {
    pid: u32,
    scope: &'a str,
    or_scope: Option<&'a str>,
    frees: u64,
    first_ns: u64,
    last_ns: u64,
}

impl<'a> ScopeView<'a> {
    fn new(of: &'a ScopeFrees) -> Self {
        Self {
            pid: of.pid,
            scope: &of.scope,
            or_scope: of.or_scope.as_deref(),
            frees: of.frees,
            first_ns: of.first_ns,
            last_ns: of.last_ns,
        }
    }
}

#[derive(Serialize)]
struct HitsView<'a> {
    #[serde(flatten)]
    site: SiteView<'a>,
    frees: u64,
}

impl<'a> HitsView<'a> {
    fn new(hits: &'a Hits) -> Self {
        Self {
            site: SiteView::new(&hits.site),
            frees: hits.frees,
        }
    }
}

/// How the pointer of the example outlived its buffer.
#[derive(Serialize)]
pub(super) struct ReuseView<'a> {
    life: Option<u64>,
    never_held: bool,
    freed_by_thread: Option<u32>,
    lives: u64,
    was_dead: bool,
    hit_life: Option<u64>,
    hit_allocated_at: Option<SiteView<'a>>,
}

impl<'a> ReuseView<'a> {
    pub(super) fn new(reuse: &'a Reuse) -> Self {
        Self {
            life: reuse.life,
            never_held: reuse.never_held,
            freed_by_thread: reuse.freed_by,
            lives: reuse.lives,
            was_dead: reuse.was_dead,
            hit_life: reuse.hit_life,
            hit_allocated_at: reuse.hit_site.as_ref().map(SiteView::new),
        }
    }
}
