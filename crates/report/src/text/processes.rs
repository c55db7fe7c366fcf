//! The processes of a run, as a tree: who started whom. A process that became another program by `exec` is one, and so is
//! one whose first image was that of its parent.

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use whofreed_analysis::Analysis;
use whofreed_trace::Exit;

use super::TextOptions;
use super::names::base;
use super::names::fit_middle;
use super::page::Page;
use super::page::plain;

/// So many are shown, where it is not asked for all.
const FEW: usize = 6;
/// A tree that is deeper is not moved further to the right.
const DEEPEST: usize = 8;

/// A process, with the traces that it wrote as one program after the other.
struct Node<'analysis> {
    pid: u32,
    parent: u32,
    /// What it was, in order.
    names: Vec<&'analysis str>,
    exit: Option<Exit>,
}

/// How many processes there were: fewer than traces, where some became other programs.
pub(super) fn count(analysis: &Analysis) -> usize {
    let pids: BTreeSet<u32> = analysis.processes.iter().map(|it| it.pid).collect();
    pids.len()
}

/// One line each, below the one that started it.
pub(super) fn tree(page: &mut Page, analysis: &Analysis, options: &TextOptions) {
    let nodes = nodes(analysis);
    let most = if options.verbose { nodes.len() } else { FEW };
    let ordered = in_order(&nodes);
    // No line is saved by leaving one out.
    let most = if ordered.len() == most + 1 {
        most + 1
    } else {
        most
    };
    for (depth, node) in ordered.iter().take(most) {
        let names: Vec<String> = node.names.iter().map(|name| fit_middle(name, 40)).collect();
        let end = match node.exit {
            Some(Exit {
                signal: Some(signal),
                ..
            }) => format!(", killed by signal {signal}"),
            Some(Exit {
                code: Some(code), ..
            }) => format!(", exit code {code}"),
            _ => String::new(),
        };
        let indent = 2 * depth.min(&DEEPEST);
        let text = format!("process {} {}{end}", node.pid, names.join(", then "));
        page.prose(indent, indent + 2, &[plain(text)]);
    }
    if ordered.len() > most {
        let more = ordered.len() - most;
        page.line(&[plain(format!("… and {more} more processes"))]);
    }
}

/// In the order in which they were started, whatever order their traces were given in.
fn nodes(analysis: &Analysis) -> Vec<Node<'_>> {
    let mut nodes: Vec<Node<'_>> = Vec::new();
    let mut places: BTreeMap<u32, usize> = BTreeMap::new();
    let mut processes: Vec<_> = analysis.processes.iter().collect();
    processes.sort_by_key(|process| process.started_at_ns);
    for process in processes {
        let name = process.command.first().map_or("?", |command| base(command));
        let place = *places.entry(process.pid).or_insert(nodes.len());
        match nodes.get_mut(place) {
            Some(node) => {
                if node.names.last() != Some(&name) {
                    node.names.push(name);
                }
                node.exit = process.exit.or(node.exit);
            }
            None => nodes.push(Node {
                pid: process.pid,
                parent: process.parent_pid,
                names: vec![name],
                exit: process.exit,
            }),
        }
    }
    nodes
}

/// Every process behind the one that started it, with its depth. Each comes once, also where numbers that were used
/// again make a circle.
fn in_order<'nodes, 'analysis>(
    nodes: &'nodes [Node<'analysis>],
) -> Vec<(usize, &'nodes Node<'analysis>)> {
    let mut children: BTreeMap<u32, Vec<&Node<'_>>> = BTreeMap::new();
    for node in nodes {
        children.entry(node.parent).or_default().push(node);
    }
    let pids: BTreeSet<u32> = nodes.iter().map(|node| node.pid).collect();
    let is_root = |node: &&Node<'_>| node.parent == node.pid || !pids.contains(&node.parent);
    let mut ordered = Vec::new();
    let mut met = BTreeSet::new();
    // Roots first, then whoever no root leads to.
    for start in nodes.iter().filter(is_root).chain(nodes) {
        let mut open = vec![(0, start)];
        while let Some((depth, node)) = open.pop() {
            if !met.insert(node.pid) {
                continue;
            }
            ordered.push((depth, node));
            let own = children.get(&node.pid).into_iter().flatten();
            // The last one is taken first.
            open.extend(own.rev().map(|child| (depth + 1, *child)));
        }
    }
    ordered
}
