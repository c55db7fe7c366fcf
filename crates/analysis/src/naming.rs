//! Which frame of a stack names it: the innermost call site that tells the guilty stacks from the innocent ones.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::HashMap;

use crate::bunches;
use crate::bunches::Bunches;
use crate::sites::ChainId;
use crate::sites::SiteId;
use crate::sites::Sites;

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

    /// Whether the guilty ones of these frees can be put down to errors.
    fn may_be_innocent(self, guilty: f64, innocent: f64) -> bool {
        guilty <= self.share / 2.0 * (guilty + innocent)
    }
}

/// As many innocent frees for one guilty free are put up with where both are few.
const FEW: f64 = 0.4;

/// What it takes to name one more site, in nats.
const NAME: f64 = 6.0;
/// The same, besides, of the one function that frees in the whole program, and that several others call: a runtime's
/// own. It frees once for each call, so that who is wrong is nearly always who calls it.
const GATE: f64 = 20.0;
/// Of so many frees that is taken for the one.
const NEARLY_ALL: f64 = 0.9;
/// The same of what several others free by, most of whom are never wrong, and with most of the frees.
const HELPER: f64 = 6.0;
/// What it takes to say that a site is wrong more often on some ways than on others.
const UNLIKE: f64 = 2.0;
/// So many are several.
const FEW_WAYS: usize = 2;
/// By so many nats the longer story has to be longer before a name moves outward.
const SLACK: f64 = 2.0;

/// The frees of the chains, as far as they are known to be right or wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known<'a> {
    pub(crate) guilty: &'a BTreeMap<ChainId, u64>,
    pub(crate) innocent: &'a BTreeMap<ChainId, u64>,
    pub(crate) bunches: &'a Bunches,
    pub(crate) noise: Noise,
    /// Those who free for others are hardly at fault themselves. Else they are as good a name as any.
    pub(crate) spares_helpers: bool,
}

impl<'a> Known<'a> {
    /// Each free counts, and is known for what it is.
    pub(crate) fn plainly(
        guilty: &'a BTreeMap<ChainId, u64>,
        innocent: &'a BTreeMap<ChainId, u64>,
    ) -> Self {
        Self {
            guilty,
            innocent,
            bunches: &bunches::NONE,
            noise: Noise::NONE,
            spares_helpers: false,
        }
    }
}

/// Which site of each guilty chain names it: the innermost, or where innocent chains pass through that one too, the
/// first further out that tells the guilty chain from all of them. Where none does, the innermost.
///
/// A chain that is both innocent and guilty is no reason to go outward: nothing further out can part it. Nor is it for
/// the chains beside it, where they differ no more than by chance.
pub(crate) fn naming(sites: &Sites<'_>, known: &Known<'_>) -> HashMap<ChainId, SiteId> {
    let noise = known.noise;
    let mut tree = Tree::new(sites, known);
    let is_innocent = |chain: &ChainId, count: u64| {
        let guilty = known.guilty.get(chain).copied().unwrap_or(0);
        noise.may_be_innocent(guilty as f64, count as f64)
    };
    let innocent: BTreeMap<ChainId, u64> = known
        .innocent
        .iter()
        .filter(|&(chain, &count)| is_innocent(chain, count))
        .map(|(&chain, &count)| (chain, count))
        .collect();
    let guilty_through = through(sites, known.guilty);
    let innocent_through = through(sites, &innocent);
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
        let sites = sites.sites(chain);
        let mut prefixes = (1..=sites.len()).map(|depth| &sites[..depth]);
        let found = prefixes.find(|prefix| separates(chain, prefix) || tree.is_one(prefix));
        found.map_or(sites[0], |prefix| prefix[prefix.len() - 1])
    };
    known
        .guilty
        .keys()
        .map(|&chain| (chain, name(chain)))
        .collect()
}

/// How many frees come through each innermost part of the chains.
pub(crate) fn through<'a>(
    sites: &'a Sites<'_>,
    counts: &BTreeMap<ChainId, u64>,
) -> HashMap<&'a [SiteId], u64> {
    let mut through: HashMap<&[SiteId], u64> = HashMap::new();
    for (&chain, count) in counts {
        let sites = sites.sites(chain);
        for depth in 1..=sites.len() {
            *through.entry(&sites[..depth]).or_default() += count;
        }
    }
    through
}

/// All chains, by their innermost sites.
struct Tree<'a> {
    nodes: HashMap<&'a [SiteId], Node>,
    noise: Noise,
    spares_helpers: bool,
}

/// The chains that begin with some sites.
#[derive(Debug, Default)]
struct Node {
    frees: Frees,
    /// Those of the chain that ends here.
    own: Frees,
    /// Some chain among them is right and wrong by turns.
    is_mixed: bool,
    /// What comes next.
    ways: Vec<SiteId>,
    told: Option<f64>,
    cost: Option<f64>,
}

impl<'a> Tree<'a> {
    fn new(sites: &'a Sites<'_>, known: &Known<'_>) -> Self {
        let mut frees: BTreeMap<ChainId, Frees> = BTreeMap::new();
        for (&chain, &count) in known.guilty {
            frees.entry(chain).or_default().guilty += count as f64;
        }
        for (&chain, &count) in known.innocent {
            frees.entry(chain).or_default().innocent += count as f64;
        }
        let weighted = frees.into_iter().map(|(chain, of)| {
            let weight = known.bunches.weight(chain);
            (sites.sites(chain), of.times(weight))
        });
        Self::of(weighted, known.noise, known.spares_helpers)
    }

    /// Of the frees by these sites.
    fn of(
        frees: impl Iterator<Item = (&'a [SiteId], Frees)>,
        noise: Noise,
        spares_helpers: bool,
    ) -> Self {
        let mut nodes: HashMap<&[SiteId], Node> = HashMap::new();
        for (all, of) in frees {
            for depth in 0..=all.len() {
                let is_new = !nodes.contains_key(&all[..depth]);
                if is_new && depth > 0 {
                    let inner = nodes.entry(&all[..depth - 1]).or_default();
                    inner.ways.push(all[depth - 1]);
                }
                let node = nodes.entry(&all[..depth]).or_default();
                node.frees.add(&of);
                node.is_mixed |= of.guilty > 0.0 && of.innocent > 0.0;
                if depth == all.len() {
                    node.own.add(&of);
                }
            }
        }
        Self {
            nodes,
            noise,
            spares_helpers,
        }
    }

    /// What it takes to name the last site of `prefix` besides, because it looks like what others free by.
    fn surcharge(&self, prefix: &[SiteId]) -> f64 {
        if !self.spares_helpers {
            return 0.0;
        }
        let all = self.nodes[[].as_slice()].frees.sum();
        // Up to where ways part.
        let mut prefix = prefix.to_vec();
        let node = loop {
            let node = &self.nodes[prefix.as_slice()];
            match node.ways.as_slice() {
                &[way] if node.own.sum() == 0.0 => prefix.push(way),
                _ => break node,
            }
        };
        if node.ways.len() < 2 {
            return 0.0;
        }
        if prefix.len() == 1 && node.frees.sum() >= NEARLY_ALL * all {
            return GATE;
        }
        let never_wrong = |way: &SiteId| {
            let way = [prefix.as_slice(), &[*way]].concat();
            let frees = self.nodes[way.as_slice()].frees;
            let is_right = self.noise.may_be_innocent(frees.guilty, frees.innocent);
            is_right.then_some(frees.sum())
        };
        let right: Vec<f64> = node.ways.iter().filter_map(never_wrong).collect();
        let is_helper = right.len() >= FEW_WAYS
            && 2 * right.len() > node.ways.len()
            && 2.0 * right.iter().sum::<f64>() >= node.frees.sum();
        if is_helper { HELPER } else { 0.0 }
    }

    /// Whether the innermost sites `prefix` are right and wrong by turns, and no way to get there is to be told from
    /// the others: then one that has only been right so far, or only wrong, has been so by chance.
    fn is_one(&mut self, prefix: &[SiteId]) -> bool {
        let Some(node) = self.nodes.get(prefix) else {
            return false;
        };
        let is_mixed = node.is_mixed;
        let mut prefix = prefix.to_vec();
        is_mixed && self.named(&mut prefix) <= self.apart(&mut prefix) + SLACK
    }

    /// What it takes to tell which frees are the guilty ones where they have come by `prefix`.
    fn cost(&mut self, prefix: &mut Vec<SiteId>) -> f64 {
        let node = &self.nodes[prefix.as_slice()];
        if let Some(cost) = node.cost {
            return cost;
        }
        let cost = if node.frees.guilty > 0.0 {
            self.apart(prefix).min(self.named(prefix))
        } else {
            0.0
        };
        if let Some(node) = self.nodes.get_mut(prefix.as_slice()) {
            node.cost = Some(cost);
        }
        cost
    }

    /// The same if the last site of `prefix` is the culprit, no matter how it is reached.
    fn named(&mut self, prefix: &mut Vec<SiteId>) -> f64 {
        NAME + self.surcharge(prefix) + self.told(prefix)
    }

    /// What it takes to tell the guilty ones of a culprit: it is wrong on all ways equally often, or on some as often
    /// as it will, and where it has never been wrong that is by chance.
    fn told(&mut self, prefix: &mut Vec<SiteId>) -> f64 {
        let node = &self.nodes[prefix.as_slice()];
        if let Some(told) = node.told {
            return told;
        }
        let alike = node.frees.told();
        let mut wrong = node.own;
        let mut right = 0.0;
        let mut unlike = node.own.told();
        let ways = node.ways.clone();
        if ways.len() > 1 {
            unlike += UNLIKE;
        }
        for way in ways {
            prefix.push(way);
            let frees = self.nodes[prefix.as_slice()].frees;
            if self.noise.may_be_innocent(frees.guilty, frees.innocent) {
                right += frees.innocent;
                unlike += frees.told_if_any();
            } else {
                wrong.add(&frees);
                unlike += self.told(prefix);
            }
            prefix.pop();
        }
        unlike -= right * (1.0 - wrong.share()).ln();
        let told = alike.min(unlike);
        if let Some(node) = self.nodes.get_mut(prefix.as_slice()) {
            node.told = Some(told);
        }
        told
    }

    /// The same if culprits are further out, and all else is innocent.
    fn apart(&mut self, prefix: &mut Vec<SiteId>) -> f64 {
        let node = &self.nodes[prefix.as_slice()];
        let own = node.own;
        let mut sum = if own.guilty > 0.0 {
            NAME + own.told()
        } else {
            0.0
        };
        let ways = node.ways.clone();
        let choice = (ways.len() as f64).ln();
        for way in ways {
            prefix.push(way);
            let frees = self.nodes[prefix.as_slice()].frees;
            if self.noise.may_be_innocent(frees.guilty, frees.innocent) {
                sum += frees.told_if_any();
            } else {
                sum += choice + self.cost(prefix);
            }
            prefix.pop();
        }
        sum
    }
}

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

    fn times(&self, weight: f64) -> Self {
        Self {
            guilty: self.guilty * weight,
            innocent: self.innocent * weight,
        }
    }

    fn sum(&self) -> f64 {
        self.guilty + self.innocent
    }

    /// The share of guilty ones, never all.
    fn share(&self) -> f64 {
        (self.guilty + 1.0) / (self.guilty + self.innocent + 2.0)
    }

    /// What it takes to tell them where guilty ones are not expected.
    fn told_if_any(&self) -> f64 {
        if self.guilty > 0.0 { self.told() } else { 0.0 }
    }

    /// What it takes to tell which of the frees are the guilty ones, in nats, when all shares of guilty ones are
    /// equally likely beforehand: ln((n + 1) C(n, k)).
    fn told(&self) -> f64 {
        let all = self.guilty + self.innocent;
        let choices = ln_factorial(all) - ln_factorial(self.guilty) - ln_factorial(self.innocent);
        (all + 1.0).ln() + choices.max(0.0)
    }
}

/// ln(x!), also between the whole numbers: Stirling's series for ln Γ(x + 7), and back.
fn ln_factorial(x: f64) -> f64 {
    let z = x + 7.0;
    let product: f64 = (1..=6).map(|step| x + f64::from(step)).product();
    (z - 0.5) * z.ln() - z + 0.5 * std::f64::consts::TAU.ln() + 1.0 / (12.0 * z)
        - 1.0 / (360.0 * z.powi(3))
        - product.ln()
}
