//! Functions that a stack no longer shows, since they ended in a jump to the next one.
//!
//! Debug information says which function was called at a return address. If the next frame inwards is another one,
//! the called function left by a tail call, and so may others have between the two. They are looked for in the graph
//! of all tail calls, and those that lie on every way through it were there for certain; only these are told.

use std::collections::HashMap;
use std::sync::Arc;

use crate::call_sites::Callee;
use crate::call_sites::Function;
use crate::found::Known;

/// How many functions a search may look at. Where more can be left by tail calls, nothing is said.
const MOST_FUNCTIONS: usize = 128;

/// The code of a function: several times, where the compiler made copies.
type Copies = Arc<[Arc<Function>]>;

/// A function of some file, by the entry that declares it.
type Key = (usize, u64);

/// The function that is known to have been running in the end.
pub(crate) enum Target<'a> {
    /// One of ours, or one that we hook: whose name fits.
    Named(&'a dyn Fn(&str) -> bool),
    /// The function at an address of a file.
    At(&'a Arc<Known>, u64),
}

/// A function that left by a tail call.
pub(crate) enum Left {
    /// One whose code is known.
    Code {
        file: Arc<Known>,
        /// Where it may have jumped away.
        jumps: Vec<u64>,
        /// Where its code begins, and the line it is declared at.
        entry: u64,
        line: u32,
    },
    /// One of a library that nothing else is known of.
    Declared {
        /// The file that declares it.
        by: Arc<Known>,
        callee: Callee,
    },
}

/// What a tail call leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Target,
    Function(usize),
}

struct Node {
    /// The file with the code, or the one that declares the function where there is none.
    file: Arc<Known>,
    callee: Callee,
    copies: Copies,
    /// Where each jump leads; what leads nowhere that is known is left out.
    ways: Vec<(u64, Way)>,
    /// Whether it can be left by a jump that nothing is told of.
    may_leave_untold: bool,
}

/// The functions that were called at `return_address` of `caller` and left by tail calls before the function of
/// `target` ran, innermost first. `others` are files that may hold functions which another one declares.
pub(crate) fn left(
    caller: &Arc<Known>,
    return_address: u64,
    target: &Target<'_>,
    others: &mut dyn FnMut() -> Vec<Arc<Known>>,
) -> Vec<Left> {
    search(caller, return_address, target, others).unwrap_or_default()
}

fn search(
    caller: &Arc<Known>,
    return_address: u64,
    target: &Target<'_>,
    others: &mut dyn FnMut() -> Vec<Arc<Known>>,
) -> Option<Vec<Left>> {
    let called = caller.binary.callee(return_address)?;
    let goal = Goal::new(target)?;
    if goal.is_called(caller, &called) {
        return None;
    }
    let mut graph = Graph {
        goal,
        others,
        nodes: Vec::new(),
        numbers: HashMap::new(),
        may_guess: false,
    };
    graph.search(caller, &called).or_else(|| {
        // Libraries that call us by a jump only are in no stack, and nothing is known of them. But what was called is
        // none of ours, and is gone.
        graph.may_guess = matches!(target, Target::Named(_));
        graph.nodes.clear();
        graph.numbers.clear();
        graph
            .may_guess
            .then(|| graph.search(caller, &called))
            .flatten()
    })
}

/// What is known of the target.
struct Goal<'a> {
    is_named: Box<dyn Fn(&str) -> bool + 'a>,
    key: Option<Key>,
    file: Option<Arc<Known>>,
}

impl<'a> Goal<'a> {
    /// `None` where nothing is known of the target: it could be anything, also what was called.
    fn new(target: &Target<'a>) -> Option<Self> {
        match *target {
            Target::Named(is_named) => Some(Self {
                is_named: Box::new(is_named),
                key: None,
                file: None,
            }),
            Target::At(file, address) => {
                let function = file.binary.function_at(address);
                let symbol = file.binary.symbol_at(address);
                // The code that a signal's handler returns to was called by nobody.
                let is_handler = symbol.as_deref().is_some_and(|s| s.contains("restore_rt"));
                if is_handler || (function.is_none() && symbol.is_none()) {
                    return None;
                }
                let key = function.as_ref().map(|f| (file.number, f.callee.root));
                let own = function.and_then(|function| function.callee.symbol.clone());
                Some(Self {
                    is_named: Box::new(move |name| {
                        symbol.as_deref() == Some(name) || own.as_deref() == Some(name)
                    }),
                    key,
                    file: Some(Arc::clone(file)),
                })
            }
        }
    }

    fn is_called(&self, file: &Known, callee: &Callee) -> bool {
        self.key == Some((file.number, callee.root))
            || callee.symbol.as_deref().is_some_and(&self.is_named)
    }
}

/// The tail calls that can have been made, as far as they are known.
struct Graph<'a> {
    goal: Goal<'a>,
    others: &'a mut dyn FnMut() -> Vec<Arc<Known>>,
    /// The first one is what was called.
    nodes: Vec<Node>,
    numbers: HashMap<Key, usize>,
    /// Whether functions of unknown libraries may lead to the target.
    may_guess: bool,
}

impl Graph<'_> {
    /// The functions that left between a call of `called` and the target.
    fn search(&mut self, caller: &Arc<Known>, called: &Callee) -> Option<Vec<Left>> {
        match self.way(caller, called)? {
            Way::Target => return None,
            Way::Function(_) => self.grow()?,
        }
        self.certain()
    }

    /// Where a call of `callee` leads, which `file` declares.
    fn way(&mut self, file: &Arc<Known>, callee: &Callee) -> Option<Way> {
        if self.goal.is_called(file, callee) {
            return Some(Way::Target);
        }
        let (file, copies) = match self.define(file, callee) {
            Some(defined) => defined,
            None if self.may_guess => {
                let symbol = callee.symbol.as_ref()?;
                let is_import = file.binary.imports(symbol);
                is_import.then(|| (Arc::clone(file), Arc::default()))?
            }
            None => return None,
        };
        let root = copies.first().map_or(callee.root, |copy| copy.callee.root);
        let key = (file.number, root);
        if self.goal.key == Some(key) {
            return Some(Way::Target);
        }
        let number = *self.numbers.entry(key).or_insert_with(|| {
            self.nodes.push(Node {
                file,
                may_leave_untold: copies.iter().any(|copy| !copy.is_complete),
                // What it does is not known; it may have called us.
                ways: if copies.is_empty() {
                    vec![(0, Way::Target)]
                } else {
                    Vec::new()
                },
                callee: callee.clone(),
                copies,
            });
            self.nodes.len() - 1
        });
        Some(Way::Function(number))
    }

    /// The code of `callee`: where it is declared, or in another file.
    fn define(&mut self, file: &Arc<Known>, callee: &Callee) -> Option<(Arc<Known>, Copies)> {
        let copies = file.binary.definitions(callee);
        if !copies.is_empty() {
            return Some((Arc::clone(file), copies));
        }
        let symbol = callee.symbol.as_ref()?;
        let near = [Some(file), self.goal.file.as_ref()];
        let near = near.into_iter().flatten().find_map(|f| named(f, symbol));
        near.or_else(|| (self.others)().iter().find_map(|f| named(f, symbol)))
    }

    /// Follows the tail calls from all functions that were found.
    fn grow(&mut self) -> Option<()> {
        let mut number = 0;
        while let Some(node) = self.nodes.get(number) {
            if number >= MOST_FUNCTIONS {
                return None;
            }
            let (file, copies) = (Arc::clone(&node.file), Arc::clone(&node.copies));
            number += 1;
            if copies.is_empty() {
                continue;
            }
            let jumps = copies.iter().flat_map(|copy| &copy.tail_calls);
            let mut ways = Vec::new();
            for jump in jumps {
                let way = match &file.binary.jumped_to(jump) {
                    // Through a pointer it goes anywhere, so also there.
                    None => Some(Way::Target),
                    Some(callee) => self.way(&file, callee),
                };
                // One that calls itself again is no other.
                if let Some(way) = way.filter(|way| *way != Way::Function(number - 1)) {
                    ways.push((jump.address, way));
                }
            }
            self.nodes[number - 1].ways = ways;
        }
        Some(())
    }

    /// The functions on all ways from the first one to the target, innermost first.
    fn certain(&self) -> Option<Vec<Left>> {
        let reaching = self.reaching(None, false);
        if !reaching[0] {
            return None;
        }
        let mut left = Vec::new();
        for number in self.a_way(&reaching)? {
            // What the target can be reached without may not have been there.
            if number != 0 && self.reaching(Some(number), true)[0] {
                continue;
            }
            let node = &self.nodes[number];
            let jumps = node.ways.iter().filter(|(_, way)| match way {
                Way::Target => true,
                Way::Function(next) => reaching[*next],
            });
            let file = Arc::clone(&node.file);
            left.push(match node.copies.first() {
                Some(first) => Left::Code {
                    file,
                    jumps: if node.may_leave_untold {
                        Vec::new()
                    } else {
                        jumps.map(|(address, _)| *address).collect()
                    },
                    entry: first.entry,
                    line: first.line,
                },
                None => Left::Declared {
                    by: file,
                    callee: node.callee.clone(),
                },
            });
        }
        left.reverse();
        Some(left)
    }

    /// From which functions the target can be reached, not through `without`; with `untold`, by jumps that nothing
    /// is told of as well.
    fn reaching(&self, without: Option<usize>, untold: bool) -> Vec<bool> {
        let mut reaching = vec![false; self.nodes.len()];
        loop {
            let mut changed = false;
            for (number, node) in self.nodes.iter().enumerate() {
                if reaching[number] || without == Some(number) {
                    continue;
                }
                let leads = |(_, way): &(u64, Way)| match way {
                    Way::Target => true,
                    Way::Function(next) => reaching[*next],
                };
                if node.ways.iter().any(leads) || untold && node.may_leave_untold {
                    reaching[number] = true;
                    changed = true;
                }
            }
            if !changed {
                return reaching;
            }
        }
    }

    /// One of the shortest ways from the first function to the target.
    fn a_way(&self, reaching: &[bool]) -> Option<Vec<usize>> {
        let mut from: Vec<Option<usize>> = vec![None; self.nodes.len()];
        let mut queue = vec![0];
        let mut at = 0;
        while let Some(&number) = queue.get(at) {
            at += 1;
            for (_, way) in &self.nodes[number].ways {
                match *way {
                    Way::Target => {
                        let mut way = vec![number];
                        while let Some(before) = way.last().and_then(|last| from[*last]) {
                            way.push(before);
                        }
                        way.reverse();
                        return Some(way);
                    }
                    Way::Function(next) if next != 0 && from[next].is_none() && reaching[next] => {
                        from[next] = Some(number);
                        queue.push(next);
                    }
                    Way::Function(_) => {}
                }
            }
        }
        None
    }
}

/// The function that `file` has under the name `symbol`.
fn named(file: &Arc<Known>, symbol: &Arc<str>) -> Option<(Arc<Known>, Copies)> {
    let function = file.binary.named(symbol)?;
    Some((Arc::clone(file), Arc::from([function])))
}
