//! Call sites: stacks with the machinery taken out, and which frame of a stack names it.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::sync::Arc;

use whofreed_trace::Frame;
use whofreed_trace::Language;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;

use crate::Class;
use crate::Rules;
use crate::Site;

/// A call site's number: function, file and line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SiteId(pub(crate) u32);

/// A chain's number: the call sites of a stack, innermost first, without machinery. Stacks of several processes
/// that read alike are one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChainId(pub(crate) u32);

/// How far an engine may err about a single free.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noise {
    /// As many innocent frees through a frame are put up with,
    pub(crate) frees: f64,
    /// or as many for one guilty free.
    pub(crate) share: f64,
}

impl Noise {
    /// Every free is known for what it is.
    pub(crate) const NONE: Self = Self {
        frees: 0.0,
        share: 0.0,
    };
}

/// As many innocent frees for one guilty free are put up with where both are few.
const FEW: f64 = 0.4;

/// What makes two frames the same call site. Where there is a line, the offset does not count: compilers unroll loops
/// and copy the ends of functions, and the evidence about one call would be spread over its copies. Calls of different
/// functions on one line are told apart by the frames further in, where functions that left by tail calls have theirs.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Place {
    function: Option<String>,
    file: Option<Arc<str>>,
    /// The line; where there is none, the offset in the module.
    line: u64,
    module: Option<Arc<str>>,
    language: Language,
}

impl Place {
    fn of(frame: &Frame) -> Self {
        let has_line = frame.file.is_some() && frame.line != 0;
        Self {
            function: frame.function.clone(),
            file: frame.file.clone(),
            line: if has_line {
                frame.line.into()
            } else {
                frame.offset
            },
            module: (!has_line).then(|| Arc::clone(&frame.module)),
            language: frame.language,
        }
    }
}

/// All call sites that have been asked for.
pub(crate) struct Sites<'a> {
    names: &'a dyn StackNames,
    rules: &'a Rules,
    of_stack: HashMap<(u32, StackId), ChainId>,
    of_chain: HashMap<Vec<SiteId>, ChainId>,
    of_place: HashMap<Place, (SiteId, bool)>,
    chains: Vec<Vec<SiteId>>,
    frames: Vec<Frame>,
}

impl<'a> Sites<'a> {
    pub(crate) fn new(names: &'a dyn StackNames, rules: &'a Rules) -> Self {
        Self {
            names,
            rules,
            of_stack: HashMap::new(),
            of_chain: HashMap::new(),
            of_place: HashMap::new(),
            chains: Vec::new(),
            frames: Vec::new(),
        }
    }

    /// The chain of a stack. It is never empty: a stack that is all machinery is named by its innermost frame,
    /// one that was not recorded by a frame without a name (see [`Sites::is_nameless`]).
    pub(crate) fn chain(&mut self, trace: u32, stack: StackId) -> ChainId {
        if let Some(&chain) = self.of_stack.get(&(trace, stack)) {
            return chain;
        }
        let frames = self.stack(trace, stack);
        let mut own: Vec<SiteId> = Vec::new();
        for frame in frames.iter() {
            let (site, machinery) = self.intern(frame);
            if !machinery {
                own.push(site);
            }
        }
        if own.is_empty() {
            let nameless = nameless_frame();
            let innermost = frames.first().unwrap_or(&nameless);
            own.push(self.intern(innermost).0);
        }
        let next = ChainId(self.chains.len() as u32);
        let chains = &mut self.chains;
        let chain = *self.of_chain.entry(own).or_insert_with_key(|own| {
            chains.push(own.clone());
            next
        });
        self.of_stack.insert((trace, stack), chain);
        chain
    }

    fn intern(&mut self, frame: &Frame) -> (SiteId, bool) {
        let (frames, rules) = (&mut self.frames, self.rules);
        *self.of_place.entry(Place::of(frame)).or_insert_with(|| {
            frames.push(frame.clone());
            (SiteId(frames.len() as u32 - 1), rules.is_machinery(frame))
        })
    }

    /// The sites of a chain, innermost first.
    pub(crate) fn sites(&self, chain: ChainId) -> &[SiteId] {
        &self.chains[chain.0 as usize]
    }

    pub(crate) fn innermost(&self, chain: ChainId) -> SiteId {
        self.sites(chain)[0]
    }

    pub(crate) fn frame(&self, site: SiteId) -> &Frame {
        &self.frames[site.0 as usize]
    }

    /// As a report names it.
    pub(crate) fn site(&self, site: SiteId) -> Site {
        Site {
            frame: self.frame(site).clone(),
        }
    }

    /// Whether the site is in a runtime's own library.
    pub(crate) fn is_runtime(&self, site: SiteId) -> bool {
        self.rules.is_runtime(self.frame(site))
    }

    /// What sort of code `site` is, whose free had `stack`.
    pub(crate) fn class(&self, site: SiteId, stack: &[Frame]) -> Class {
        self.rules.class(self.frame(site), stack)
    }

    /// The frames of a stack, machinery and all.
    pub(crate) fn stack(&self, trace: u32, stack: StackId) -> Arc<[Frame]> {
        self.names.frames(trace as usize, stack)
    }

    /// Whether nothing is known of the chain: no stack was recorded.
    pub(crate) fn is_nameless(&self, chain: ChainId) -> bool {
        let frame = self.frame(self.innermost(chain));
        frame.function.is_none()
            && frame.file.is_none()
            && frame.module.is_empty()
            && frame.offset == 0
    }

    /// Which site of each guilty chain names it: the innermost, or where innocent chains pass through that one
    /// too, the first further out that tells the guilty chain from all of them. Where none does, the innermost.
    ///
    /// Both maps count the frees of a chain. A chain that is both innocent and guilty is no reason to go outward:
    /// nothing further out can part it. Nor is it for the chains beside it, where they differ no more than by chance.
    pub(crate) fn naming(
        &self,
        guilty: &BTreeMap<ChainId, u64>,
        innocent: &BTreeMap<ChainId, u64>,
        noise: Noise,
    ) -> HashMap<ChainId, SiteId> {
        let mut contexts = Contexts::new(self, guilty, innocent);
        let is_innocent = |chain: &ChainId, count: u64| {
            let guilty = guilty.get(chain).copied().unwrap_or(0);
            guilty as f64 <= noise.share / 2.0 * (guilty + count) as f64
        };
        let innocent: BTreeMap<ChainId, u64> = innocent
            .iter()
            .filter(|&(chain, &count)| is_innocent(chain, count))
            .map(|(&chain, &count)| (chain, count))
            .collect();
        let guilty_through = self.through(guilty);
        let innocent_through = self.through(&innocent);
        let separates = |chain: ChainId, prefix: &[SiteId]| {
            let count = |of: &HashMap<&[SiteId], u64>| of.get(prefix).copied().unwrap_or(0);
            // Nothing further out parts a chain from itself.
            let own = innocent.get(&chain).copied().unwrap_or(0);
            let others = (count(&innocent_through) - own) as f64;
            let guilty = count(&guilty_through) as f64;
            // Of little evidence nothing may be put down to noise: the frame may be everybody's.
            let frees = noise.frees.min(FEW * guilty);
            others <= frees.max(noise.share * guilty)
        };
        let mut name = |chain: ChainId| {
            let sites = self.sites(chain);
            let mut prefixes = (1..=sites.len()).map(|depth| &sites[..depth]);
            let found =
                prefixes.find(|prefix| separates(chain, prefix) || contexts.are_alike(prefix));
            found.map_or(sites[0], |prefix| prefix[prefix.len() - 1])
        };
        guilty.keys().map(|&chain| (chain, name(chain))).collect()
    }

    /// How many frees come through each innermost part of the chains.
    fn through(&self, counts: &BTreeMap<ChainId, u64>) -> HashMap<&[SiteId], u64> {
        let mut through: HashMap<&[SiteId], u64> = HashMap::new();
        for (&chain, count) in counts {
            let sites = self.sites(chain);
            for depth in 1..=sites.len() {
                *through.entry(&sites[..depth]).or_default() += count;
            }
        }
        through
    }

    /// The places of all sites in an order that does not depend on how they came to be numbered.
    pub(crate) fn ranks(&self) -> Vec<u32> {
        let mut places: Vec<(&Place, SiteId)> =
            self.of_place.iter().map(|(p, s)| (p, s.0)).collect();
        places.sort_unstable_by(|a, b| a.0.cmp(b.0));
        let mut ranks = vec![0; places.len()];
        for (rank, (_, site)) in places.into_iter().enumerate() {
            ranks[site.0 as usize] = rank as u32;
        }
        ranks
    }
}

/// Whether it makes a difference by whom a call site is reached.
struct Contexts<'a> {
    /// The sites of each chain, and its guilty and innocent frees.
    chains: Vec<(&'a [SiteId], Frees)>,
    known: HashMap<&'a [SiteId], bool>,
}

impl<'a> Contexts<'a> {
    fn new(
        sites: &'a Sites<'_>,
        guilty: &BTreeMap<ChainId, u64>,
        innocent: &BTreeMap<ChainId, u64>,
    ) -> Self {
        let mut frees: BTreeMap<ChainId, Frees> = BTreeMap::new();
        for (&chain, &count) in guilty {
            frees.entry(chain).or_default().guilty += count as f64;
        }
        for (&chain, &count) in innocent {
            frees.entry(chain).or_default().innocent += count as f64;
        }
        let chains = frees
            .into_iter()
            .map(|(chain, of)| (sites.sites(chain), of));
        Self {
            chains: chains.collect(),
            known: HashMap::new(),
        }
    }

    /// Whether the innermost sites `prefix` are right and wrong by turns, in the same chains, and reached by whatever
    /// way about equally often wrong. Then a way that has only been wrong so far has been so by chance.
    fn are_alike(&mut self, prefix: &'a [SiteId]) -> bool {
        if let Some(&known) = self.known.get(prefix) {
            return known;
        }
        let through: Vec<&(&[SiteId], Frees)> = self
            .chains
            .iter()
            .filter(|(sites, _)| sites.starts_with(prefix))
            .collect();
        let is_mixed = |of: &Frees| of.guilty > 0.0 && of.innocent > 0.0;
        let alike = through.iter().any(|(_, of)| is_mixed(of)) && {
            let depth = through.iter().map(|(sites, _)| sites.len()).max();
            let mut depths = prefix.len() + 1..=depth.unwrap_or(0);
            !depths.any(|depth| differ(&through, depth))
        };
        self.known.insert(prefix, alike);
        alike
    }
}

/// Whether one of the ways that the first `depth` sites make is guilty more often than the others, by more than chance.
fn differ(chains: &[&(&[SiteId], Frees)], depth: usize) -> bool {
    let mut together = Frees::default();
    let mut ways: HashMap<&[SiteId], Frees> = HashMap::new();
    for (sites, of) in chains {
        together.add(of);
        let way = &sites[..depth.min(sites.len())];
        ways.entry(way).or_default().add(of);
    }
    let guilty: Vec<&Frees> = ways.values().filter(|way| way.guilty > 0.0).collect();
    // The more ways there are, the more likely one of them stands out by chance.
    let by_chance = BY_CHANCE + (guilty.len() as f64).ln();
    guilty.iter().any(|way| {
        let rest = together.without(way);
        way.guilty * rest.innocent > rest.guilty * way.innocent
            && together.surprise() - way.surprise() - rest.surprise() > by_chance
    })
}

/// So many nats can be saved by chance when one way is told from the others: frees come in bunches.
const BY_CHANCE: f64 = 6.0;

/// Guilty and innocent frees.
#[derive(Clone, Copy, Debug, Default)]
struct Frees {
    guilty: f64,
    innocent: f64,
}

impl Frees {
    fn add(&mut self, other: &Self) {
        self.guilty += other.guilty;
        self.innocent += other.innocent;
    }

    fn without(&self, part: &Self) -> Self {
        Self {
            guilty: self.guilty - part.guilty,
            innocent: self.innocent - part.innocent,
        }
    }

    /// What it takes to tell which of the frees are the guilty ones, in nats, when it is known how many are.
    fn surprise(&self) -> f64 {
        let all = self.guilty + self.innocent;
        let of = |part: f64| {
            if part > 0.0 {
                part * (all / part).ln()
            } else {
                0.0
            }
        };
        of(self.guilty) + of(self.innocent)
    }
}

/// The frame of a stack of which nothing is known.
fn nameless_frame() -> Frame {
    Frame {
        function: None,
        module: Arc::from(""),
        offset: 0,
        file: None,
        line: 0,
        inlined: false,
        tail_called: false,
        language: Language::Native,
    }
}
