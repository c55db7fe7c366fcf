//! The order in which the dynamic linker looks for a definition: the global scope (`global`), then the object that refers
//! to it and what that needs.
//!
//! Not followed is the scope of a library that was only loaded because another one needs it: the linker looks into that
//! other one too.

use super::MOST_ENTRIES;
use super::Object;
use super::Query;
use super::Tables;
use super::Version;
use super::global::global;
use super::hold;
use super::objects;
use super::peek;
use std::cell::OnceCell;
use std::ffi::CStr;

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
    /// The caller's object refers to several versions of it, and which call is which cannot be told.
    Mixed,
}

/// For whom else a definition is the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// Every caller.
    Always,
    /// Every caller, until another library is loaded, which may define it in another version.
    UntilLoaded,
    /// Only those who call from the same object.
    Never,
}

/// A definition and why it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Where it is.
    pub address: usize,
    /// Why it was taken.
    pub choice: Choice,
    /// For whom else.
    pub shared: Shared,
}

/// What a reference to `name` (or `name@VERSION`) in `caller` is bound to, were `hooks` not there: in the global scope
/// only what comes behind `hooks` counts, since whoever comes before it is not called through it. Where the scope has no
/// definition, those in objects that `prefer` takes go before others. Of a name without a version, that one is meant which
/// the caller's own reference asks for.
pub fn definition(
    name: &[u8],
    hooks: Option<Object>,
    caller: Option<Object>,
    prefer: impl Fn(&Object) -> bool,
) -> Option<Definition> {
    let search = Search {
        query: Query::parse(name),
        hooks,
        caller: caller.filter(|caller| Some(*caller) != hooks),
    };
    let tables = search.caller.and_then(|caller| caller.tables());
    let known = OnceCell::new();
    let asked = || {
        let asked = || tables.as_ref()?.asked(search.query).next();
        *known.get_or_init(|| asked().unwrap_or(Version::Default))
    };
    let found = search.run(&asked, &prefer);
    // A caller that asks for a version which nobody has, and runs: better the default one than none.
    let found = found.or_else(|| search.run(&|| Version::Default, &prefer))?;
    let Some(tables) = tables.filter(|_| found.shared == Shared::Never && !search.has_version())
    else {
        return Some(found);
    };
    let is_other = |version| {
        let other = search.run(&|| version, &prefer);
        other.is_some_and(|other| other.address != found.address)
    };
    let is_mixed = tables.asked(search.query).skip(1).any(is_other);
    let choice = if is_mixed {
        Choice::Mixed
    } else {
        found.choice
    };
    Some(Definition { choice, ..found })
}

/// What is looked for, and by whom.
struct Search<'name> {
    query: Query<'name>,
    hooks: Option<Object>,
    caller: Option<Object>,
}

impl Search<'_> {
    fn is_foreign(&self, object: &Object) -> bool {
        Some(*object) != self.hooks
    }

    fn has_version(&self) -> bool {
        matches!(self.query.version, Version::Named(_))
    }

    fn run<'asked>(
        &self,
        asked: &dyn Fn() -> Version<'asked>,
        prefer: &dyn Fn(&Object) -> bool,
    ) -> Option<Definition> {
        let defined = |object: &Object| {
            let tables = object.tables()?;
            if self.has_version() || !tables.has_versions() {
                return tables.find(&self.query);
            }
            // Asking takes long, so only where the name is known.
            (tables.count(&self.query) > 0).then_some(())?;
            tables.find(&Query::new(self.query.name, asked()))
        };
        let before = self.hooks;
        let before = before.and_then(|hooks| global().position(|object| object == hooks));
        let mut behind = global().skip(before.map_or(0, |before| before + 1));
        let is_known = |object: &Object| object.tables().map_or(0, |it| it.count(&self.query)) > 0;
        let mut passed = false;
        let found = behind.find_map(|object| {
            let address = defined(&object);
            passed |= address.is_none() && is_known(&object);
            Some((object, address?))
        });
        if let Some((object, address)) = found {
            return Some(Definition {
                address,
                choice: Choice::Global,
                shared: if passed {
                    Shared::Never
                } else {
                    self.shared(&object)
                },
            });
        }
        let of = |address, choice| {
            Some(Definition {
                address,
                choice,
                shared: Shared::Never,
            })
        };
        if let Some(address) = self.caller.and_then(|caller| defined(&caller)) {
            return of(address, Choice::Caller);
        }
        // What the caller does not need itself may be unloaded meanwhile.
        let _held = hold();
        let (mut all, mut preferred) = (Counted::default(), Counted::default());
        for object in objects().filter(|object| self.is_foreign(object)) {
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
        let needed = self.caller.into_iter().flat_map(closure);
        let mut needed = needed.filter(|object| self.is_foreign(object));
        if let Some(address) = needed.find_map(|object| defined(&object)) {
            return of(address, Choice::Caller);
        }
        match preferred.count {
            0 => of(all.first?, Choice::First),
            1 => of(preferred.first?, Choice::Only),
            _ => of(preferred.first?, Choice::First),
        }
    }

    /// For whom the definition is that an object of the global scope has, the first one there to know the name.
    fn shared(&self, object: &Object) -> Shared {
        let Some(tables) = object.tables() else {
            return Shared::Never;
        };
        if self.has_version() || !tables.has_versions() {
            return Shared::Always;
        }
        let _held = hold();
        let others = objects().filter(|object| self.is_foreign(object));
        let counts = others.filter_map(|object| Some(object.tables()?.count(&self.query)));
        // One that takes every version still takes none from this one.
        if counts.sum::<usize>() == 1 {
            Shared::UntilLoaded
        } else {
            Shared::Never
        }
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

/// An object, what it needs, what those need, and so on, each once and in this order.
pub(super) fn closure(root: Object) -> Closure {
    let mut found = [None; MOST_NEEDED];
    found[0] = Some(root);
    Closure {
        found,
        count: 1,
        next: 0,
    }
}

pub(super) struct Closure {
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
    use super::super::first_object;
    use super::*;

    /// The program's own address of a function of the C library.
    fn bound() -> usize {
        libc::getppid as *const () as usize
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
                choice: Choice::Global,
                shared: Shared::UntilLoaded,
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
