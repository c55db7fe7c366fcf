//! The order in which the dynamic linker looks for a definition: the global scope, then the object that refers to it and
//! what that needs.
//!
//! Which objects are in the global scope (those of the start, and those opened with RTLD_GLOBAL since) is known to the
//! linker alone. The first words of its own record of that (`_rtld_global`, which debuggers and checkpointers rely on too)
//! are taken only when they agree with `_r_debug`; else the main program and what it needs are the global scope.
//! Not followed is the scope of a library that was only loaded because another one needs it: the linker looks into that
//! other one too.

use super::HIGHEST;
use super::LOWEST;
use super::MOST_ENTRIES;
use super::MOST_OBJECTS;
use super::Object;
use super::Query;
use super::Tables;
use super::first_object;
use super::hold;
use super::objects;
use super::peek;
use std::ffi::CStr;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

const DT_NEEDED: u64 = 1;
const DT_SONAME: u64 = 14;

/// How many objects of what an object needs are looked at; definitions further away are found in load order.
const MOST_NEEDED: usize = 64;

/// How a definition was chosen among all of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// It is in the global scope, where every caller finds it first.
    Global,
    /// The caller's object defines it, or one that this needs.
    Caller,
    /// It is the only one.
    Only,
    /// There are others, and the caller's scope has none of them.
    First,
}

/// A definition and why it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Where it is.
    pub address: usize,
    /// Why it was taken.
    pub choice: Choice,
}

/// What a reference to `name` (or `name@VERSION`) in `caller` is bound to, were `hooks` not there: in the global scope
/// only what comes behind `hooks` counts, since whoever comes before it is not called through it. Where the scope has no
/// definition, those in objects that `prefer` takes go before others.
pub fn definition(
    name: &[u8],
    hooks: Option<Object>,
    caller: Option<Object>,
    prefer: impl Fn(&Object) -> bool,
) -> Option<Definition> {
    let query = Query::parse(name);
    let defined = |object: &Object| object.tables()?.find(&query);
    let is_foreign = |object: &Object| Some(*object) != hooks;
    let before = hooks.and_then(|hooks| global().position(|object| object == hooks));
    let mut behind = global().skip(before.map_or(0, |before| before + 1));
    let of = |address, choice| Some(Definition { address, choice });
    if let Some(address) = behind.find_map(|object| defined(&object)) {
        return of(address, Choice::Global);
    }
    let caller = caller.filter(is_foreign);
    if let Some(address) = caller.and_then(|caller| defined(&caller)) {
        return of(address, Choice::Caller);
    }
    // What the caller does not need itself may be unloaded meanwhile.
    let _held = hold();
    let (mut all, mut preferred) = (Counted::default(), Counted::default());
    for object in objects().filter(is_foreign) {
        if let Some(address) = defined(&object) {
            all.add(address);
            if prefer(&object) {
                preferred.add(address);
            }
        }
    }
    if all.count < 2 {
        return of(all.first?, Choice::Only);
    }
    let mut needed = caller.into_iter().flat_map(closure).filter(is_foreign);
    if let Some(address) = needed.find_map(|object| defined(&object)) {
        return of(address, Choice::Caller);
    }
    match preferred.count {
        0 => of(all.first?, Choice::First),
        1 => of(preferred.first?, Choice::Only),
        _ => of(preferred.first?, Choice::First),
    }
}

#[derive(Default)]
struct Counted {
    first: Option<usize>,
    count: usize,
}

impl Counted {
    fn add(&mut self, address: usize) {
        self.first = self.first.or(Some(address));
        self.count += 1;
    }
}

/// The objects of the global scope, in the order in which the linker searches them.
fn global() -> impl Iterator<Item = Object> {
    let listed = global_list();
    let (list, count) = listed.unwrap_or((0, 0));
    // SAFETY: the linker keeps `count` pointers here; a list that it has just replaced is one that it had.
    let entries = (0..count).filter_map(move |index| unsafe { Object::at(peek(list + 8 * index)) });
    let fallback = if listed.is_none() {
        first_object()
    } else {
        None
    };
    entries.chain(fallback.into_iter().flat_map(closure))
}

/// The linker's own list of the global scope, where it is what it seems to be: its address and how long it is.
fn global_list() -> Option<(usize, usize)> {
    let first = first_object()?;
    let is_plausible = |at: &usize| (LOWEST..HIGHEST).contains(at) && at.is_multiple_of(8);
    let record = Some(rtld_global()?).filter(is_plausible)?;
    // SAFETY: `_rtld_global` begins with the base namespace: its list of objects, their number, and a pointer to the
    // main program's search list. The words are only used when the first one says that this is so.
    let [loaded, _, search]: [usize; 3] = unsafe { peek(record) };
    if loaded != first.link_map() {
        return None;
    }
    let search = Some(search).filter(is_plausible)?;
    // SAFETY: `struct r_scope_elem`: a pointer to the objects and their number.
    let [list, count]: [usize; 2] = unsafe { peek(search) };
    let list = Some(list).filter(is_plausible)?;
    let count = count & 0xffff_ffff;
    // SAFETY: a search list begins with the object that it is the list of.
    let begins: usize = unsafe { peek(list) };
    ((1..=MOST_OBJECTS).contains(&count) && begins == loaded).then_some((list, count))
}

/// Where the linker's record of itself is.
fn rtld_global() -> Option<usize> {
    const UNKNOWN: usize = 0;
    const ABSENT: usize = 1;
    static ADDRESS: AtomicUsize = AtomicUsize::new(UNKNOWN);

    // Relaxed: the address is the whole message, and every thread would find the same one.
    let address = match ADDRESS.load(Ordering::Relaxed) {
        UNKNOWN => {
            let query = Query::new(b"_rtld_global", None);
            let mut linkers = objects().filter(|object| object.matches(b"ld-linux*|ld.so*|ld64*"));
            let found = linkers.find_map(|object| object.tables()?.find(&query));
            let address = found.unwrap_or(ABSENT);
            ADDRESS.store(address, Ordering::Relaxed);
            address
        }
        address => address,
    };
    (address != ABSENT).then_some(address)
}

/// An object, what it needs, what those need, and so on, each once and in this order.
fn closure(root: Object) -> Closure {
    let mut found = [None; MOST_NEEDED];
    found[0] = Some(root);
    Closure {
        found,
        count: 1,
        next: 0,
    }
}

struct Closure {
    found: [Option<Object>; MOST_NEEDED],
    count: usize,
    next: usize,
}

impl Iterator for Closure {
    type Item = Object;

    fn next(&mut self) -> Option<Object> {
        let object = (*self.found.get(self.next)?)?;
        self.next += 1;
        let tables = object.tables();
        for name in tables
            .iter()
            .flat_map(|tables| texts(&object, tables, DT_NEEDED))
        {
            let needed = named(name);
            if needed.is_some()
                && !self.found.contains(&needed)
                && let Some(place) = self.found.get_mut(self.count)
            {
                *place = needed;
                self.count += 1;
            }
        }
        Some(object)
    }
}

/// The texts that the entries of an object's dynamic section with this tag point at.
fn texts<'tables>(
    object: &Object,
    tables: &'tables Tables,
    wanted: u64,
) -> impl Iterator<Item = &'tables CStr> {
    let dynamic = object.dynamic();
    // SAFETY: the object's tables have just been read, so its dynamic section is mapped; it ends with a 0 tag.
    let entries =
        (0..MOST_ENTRIES).map(move |index| unsafe { peek::<[u64; 2]>(dynamic + 16 * index) });
    entries
        .take_while(|[tag, _]| *tag != 0)
        .filter(move |[tag, _]| *tag == wanted)
        .map(|[_, offset]| tables.text(offset as usize))
}

/// The loaded object that another one needs by this name.
fn named(name: &CStr) -> Option<Object> {
    let name = name.to_bytes();
    let is_file = |object: &Object| {
        let path = object.name_unbound().to_bytes();
        path == name || path.rsplit(|byte| *byte == b'/').next() == Some(name)
    };
    let has_soname = |object: &Object| {
        let tables = object.tables();
        let mut sonames = tables
            .iter()
            .flat_map(|tables| texts(object, tables, DT_SONAME));
        sonames.any(|soname| soname.to_bytes() == name)
    };
    objects()
        .find(is_file)
        .or_else(|| objects().find(has_soname))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The program's own address of a function of the C library.
    fn bound() -> usize {
        libc::getppid as *const () as usize
    }

    #[test]
    fn the_linkers_list_of_the_global_scope_is_understood() {
        assert!(global_list().is_some(), "this C library's record is known");
        let listed: Vec<Object> = global().collect();
        assert_eq!(listed.first(), first_object().as_ref());
        // All objects of a program that has opened none, but for the vDSO.
        let loaded: Vec<Object> = objects()
            .filter(|object| object.name() != c"linux-vdso.so.1")
            .collect();
        assert!(listed.len() <= loaded.len());
        assert!(listed.iter().all(|object| loaded.contains(object)));
    }

    #[test]
    fn what_an_object_needs_is_followed() {
        let all: Vec<Object> = closure(first_object().expect("a program")).collect();
        let has = |globs: &[u8]| all.iter().filter(|object| object.matches(globs)).count();
        assert_eq!((has(b"libc.so*"), has(b"ld-linux*|ld64*")), (1, 1));
        assert_eq!(has(b"*"), all.len(), "each once");
    }

    #[test]
    fn a_definition_is_the_one_that_the_linker_bound() {
        let found = definition(b"getppid", None, None, |_| true).expect("a function");
        assert_eq!(
            found,
            Definition {
                address: bound(),
                choice: Choice::Global
            }
        );
        assert_eq!(
            definition(b"no_such_function", None, first_object(), |_| true),
            None
        );
    }

    #[test]
    fn only_what_comes_behind_the_hooks_counts_in_the_global_scope() {
        let library = super::super::object_of(bound()).expect("the C library");
        // Were the hooks in the place of the C library, nobody behind it would define this.
        assert_eq!(definition(b"getppid", Some(library), None, |_| true), None);
        let first = first_object();
        let found = definition(b"getppid", first, None, |_| true).expect("a function");
        assert_eq!(found.choice, Choice::Global);
    }
}
