//! Call sites: stacks with the machinery taken out.

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

    /// Says that the chains of all these stacks will be asked for.
    pub(crate) fn prepare(&self, stacks: impl Iterator<Item = (u32, StackId)>) {
        let new = stacks.filter(|stack| !self.of_stack.contains_key(stack));
        self.names
            .prepare(&mut new.map(|(trace, stack)| (trace as usize, stack)));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// One stack with one frame for each.
    struct Stacks(Vec<Frame>);

    impl StackNames for Stacks {
        fn frames(&self, _trace: usize, stack: StackId) -> Arc<[Frame]> {
            self.0
                .iter()
                .skip(stack.0 as usize)
                .take(1)
                .cloned()
                .collect()
        }
    }

    fn frame(file: Option<&str>, line: u32, module: &str, offset: u64) -> Frame {
        Frame {
            function: Some("drop".to_owned()),
            file: file.map(Arc::from),
            line,
            module: Arc::from(module),
            offset,
            ..nameless_frame()
        }
    }

    fn are_one_site(frames: [Frame; 2]) -> bool {
        let (stacks, rules) = (Stacks(frames.to_vec()), Rules::default());
        let mut sites = Sites::new(&stacks, &rules);
        sites.chain(0, StackId(0)) == sites.chain(0, StackId(1))
    }

    #[test]
    fn a_line_is_one_site_wherever_the_compiler_put_it() {
        let at = |module, offset| frame(Some("pool.cpp"), 12, module, offset);
        assert!(are_one_site([at("liba.so", 1), at("libb.so", 2)]));
        let of_line = |line| frame(Some("pool.cpp"), line, "liba.so", 1);
        assert!(!are_one_site([of_line(12), of_line(13)]));
    }

    #[test]
    fn without_a_line_module_and_offset_make_a_site() {
        for (file, line) in [(None, 0), (None, 12), (Some("pool.cpp"), 0)] {
            let at = |module, offset| frame(file, line, module, offset);
            assert!(are_one_site([at("liba.so", 1), at("liba.so", 1)]));
            assert!(!are_one_site([at("liba.so", 1), at("liba.so", 2)]));
            assert!(!are_one_site([at("liba.so", 1), at("libb.so", 1)]));
        }
    }
}
