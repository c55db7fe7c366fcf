//! Reading ahead: of the stacks that will be asked for, what can be read independently is read by several threads.
//!
//! Files are independent of each other, and in a file its lines are of its call sites, which cost about the same. All
//! that is done here is to ask questions whose answers a file keeps; so it changes nothing but when they are asked.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread;

use whofreed_trace::Module;
use whofreed_trace::NativeFrame;
use whofreed_trace::StackId;
use whofreed_trace::Trace;

use crate::Watcher;
use crate::binary::Binary;
use crate::found::Found;
use crate::found::is_ours;
use crate::found::key_of;

/// Below so many addresses it is not worth to start a thread.
const FEW: usize = 16;

/// As deep as the main thread may go: debug information can be nested.
const STACK: usize = 8 << 20;

/// One thing to read.
enum Task<'a> {
    Lines(&'a Binary, &'a BTreeSet<u64>),
    Calls(&'a Binary, &'a BTreeSet<u64>),
}

impl Task<'_> {
    /// Reads it, and tells how far that is.
    fn run(&self, watcher: Option<&dyn Watcher>) {
        match self {
            Self::Lines(binary, addresses) => {
                for address in *addresses {
                    binary.lines(address.saturating_sub(1));
                    if let Some(watcher) = watcher {
                        watcher.has_looked_up(1);
                    }
                }
            }
            Self::Calls(binary, addresses) => {
                for address in *addresses {
                    binary.callee(*address);
                    binary.function_at(address.saturating_sub(1));
                }
            }
        }
    }
}

/// Reads what `stacks` need, by as many as `threads`.
pub(crate) fn read<E>(
    found: &mut Found<'_>,
    traces: &[Trace<E>],
    stacks: &mut dyn Iterator<Item = (usize, StackId)>,
    threads: usize,
    watcher: Option<&dyn Watcher>,
) {
    if threads < 2 {
        return;
    }
    let mut addresses: BTreeMap<(usize, u32), BTreeSet<u64>> = BTreeMap::new();
    let mut count = 0;
    for (number, stack) in stacks {
        let (Some(trace), Ok(index)) = (traces.get(number), usize::try_from(stack.0)) else {
            continue;
        };
        let Some(recorded) = trace.stacks.get(index) else {
            continue;
        };
        if found.stacks.contains_key(&(number, stack)) {
            continue;
        }
        let native = recorded.native.iter();
        for NativeFrame { module, offset } in native.skip_while(|frame| is_ours(trace, frame)) {
            if let Some(module) = module {
                let of_module = addresses.entry((number, *module)).or_default();
                count += usize::from(of_module.insert(*offset));
            }
        }
    }
    if count < FEW {
        return;
    }
    if let Some(watcher) = watcher {
        watcher.will_look_up(count);
    }

    let module_of = |(number, index): (usize, u32)| {
        let trace = traces.get(number)?;
        let module = trace.modules.get(usize::try_from(index).ok()?)?;
        Some((module, trace.process.started_at_ns))
    };
    let mut seen = HashSet::new();
    let new: Vec<(&Module, u64)> = addresses
        .keys()
        .filter_map(|at| module_of(*at))
        .filter(|(module, _)| {
            let key = key_of(module);
            !found.files.contains_key(&key) && seen.insert(key)
        })
        .collect();
    let store = found.store;
    let opened = spread(threads, &new, |(module, started_at_ns)| {
        Binary::open(module, *started_at_ns, store)
    });
    for ((module, _), binary) in new.iter().zip(opened) {
        found.add(module, binary);
    }

    let mut by_file: HashMap<(String, Vec<u8>), BTreeSet<u64>> = HashMap::new();
    for (at, addresses) in addresses {
        if let Some((module, _)) = module_of(at) {
            by_file.entry(key_of(module)).or_default().extend(addresses);
        }
    }
    let mut tasks: Vec<(u64, Task<'_>)> = Vec::new();
    for (key, addresses) in &by_file {
        if let Some(known) = found.files.get(key) {
            let weight = known.binary.weight();
            tasks.push((weight, Task::Lines(&known.binary, addresses)));
            tasks.push((weight, Task::Calls(&known.binary, addresses)));
        }
    }
    // The largest first, so that nobody is left alone with it in the end.
    tasks.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    spread(threads, &tasks, |(_, task)| task.run(watcher));
}

/// The results of `work`, in the order of `items`. Where no thread is to be had, the caller does it all.
fn spread<T: Sync, R: Send>(threads: usize, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<(usize, R)>> = Mutex::new(Vec::with_capacity(items.len()));
    let help = || {
        while let Some((index, item)) = {
            let index = next.fetch_add(1, Ordering::Relaxed);
            items.get(index).map(|item| (index, item))
        } {
            let result = work(item);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            done.push((index, result));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.min(items.len()) {
            let builder = thread::Builder::new().name("whofreed-names".to_owned());
            if builder.stack_size(STACK).spawn_scoped(scope, help).is_err() {
                break;
            }
        }
        help();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::spread;

    #[test]
    fn results_are_in_order_and_several_threads_work_at_once() {
        // Each waits for the others, so one alone would never end.
        let barrier = Barrier::new(3);
        let squares = spread(3, &[1, 2, 3, 4, 5, 6], |number| {
            barrier.wait();
            number * number
        });
        assert_eq!(squares, [1, 4, 9, 16, 25, 36]);
    }

    #[test]
    fn one_thread_is_the_caller_s() {
        let caller = std::thread::current().id();
        let same = spread(1, &[(); 4], |()| std::thread::current().id() == caller);
        assert_eq!(same, [true; 4]);
        assert_eq!(spread(8, &[], |(): &()| ()), []);
    }
}
