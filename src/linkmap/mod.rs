//! The objects that the dynamic linker has loaded, seen without asking it.
//!
//! Place on an event's way: wherever the shim needs an address inside the host, the original behind
//! a hook, a getter of the adapter, the Python interpreter, or the module of a return address.
//! dlsym, dladdr and dl_iterate_phdr wait for the loader's lock (for as long as another thread runs
//! a constructor), may allocate, and may themselves be hooked. So this module reads the linker's own
//! list (`_r_debug`) and the hash tables of each object, and takes no lock and no memory.
//!
//! The list may change while it is read. An entry is only ever appended while its object loads; it is
//! taken out and given back to malloc by dlclose. What an entry points at is therefore read only
//! after `_dl_find_object` (lock-free in the linker, glibc >= 2.35) has confirmed that the
//! entry still owns that address. What remains is a dlclose between the confirmation and the read;
//! the preload room's dlclose hook tells it when to look again, and lets walks finish that have begun.
//! Only the base namespace is searched: what dlmopen has loaded apart is not observable by name, and only told of.

mod bindings;
pub mod changes;
pub mod gate;
mod global;
mod scope;
mod segments;
mod symbols;
#[cfg(test)]
mod tests;
mod unloading;
mod versions;

pub use bindings::Reference;
pub use bindings::is_program;
pub use bindings::objects_apart;
pub use global::counted;
pub use global::loaded;
pub use scope::Choice;
pub use scope::Definition;
pub use scope::Shared;
pub use scope::definition;
use std::ffi::CStr;
use std::ffi::c_char;
use std::ffi::c_int;
use std::ffi::c_void;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr::with_exposed_provenance;
use std::ptr::with_exposed_provenance_mut;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use symbols::Query;
use symbols::Tables;
pub use unloading::forked;
pub use unloading::hold;
pub use unloading::unloaded;
pub use unloading::unloading;
use versions::Version;
use whofreed_hooktable::glob::any_fits;

/// `struct link_map` of `<link.h>`, its public part.
#[repr(C)]
#[derive(Clone, Copy)]
struct LinkMap {
    load_bias: usize,
    name: *const c_char,
    dynamic: usize,
    next: usize,
    previous: usize,
}

/// `struct r_debug` of `<link.h>`.
#[repr(C)]
struct RDebug {
    version: c_int,
    map: usize,
    breakpoint: usize,
    state: c_int,
    linker_base: usize,
}

unsafe extern "C" {
    /// The rendezvous with debuggers, exported by ld.so and filled before any user code runs.
    static _r_debug: RDebug;
}

/// No address below is ever an object's, and none at or above is a user's (x86-64, 4-level pages;
/// aarch64's 48 bits reach further, but the kernel hands out the upper half on request only).
pub(crate) const LOWEST: usize = 0x1_0000;
/// See [`LOWEST`].
pub(crate) const HIGHEST: usize = 1 << 47;

/// A bound on the list, so that a list caught in mid-change cannot hold a thread in a ring.
const MOST_OBJECTS: usize = 1 << 16;

/// No dynamic section, version chain or note list is longer; a broken one ends here.
const MOST_ENTRIES: usize = 4096;

/// Reads plain data of the host.
///
/// # Safety
/// `address..address + size_of::<T>()` is readable, and any bit pattern is a `T`.
unsafe fn peek<T: Copy>(address: usize) -> T {
    // SAFETY: the caller's promise; alignment is not asked for.
    unsafe { with_exposed_provenance::<T>(address).read_unaligned() }
}

/// One loaded object: an executable, a shared library, the vDSO.
///
/// It is a reference into the linker's list, good until the object is unloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    link_map: usize,
}

/// The object around an address, as the linker's own lookup gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundObject {
    /// Address of its `struct link_map`.
    pub link_map: usize,
    /// Where its mapping begins.
    pub start: usize,
    /// One past the last mapped byte.
    pub end: usize,
    /// What is added to an address of the file to get one of the process.
    pub load_bias: usize,
    /// Its `PT_GNU_EH_FRAME` (`.eh_frame_hdr`), 0 when it has none or it is not known.
    pub eh_frame: usize,
}

/// The objects in load order: executable first, then preloads, then the rest.
pub fn objects() -> impl Iterator<Item = Object> {
    let mut next = first_object();
    std::iter::from_fn(move || {
        let object = next?;
        next = Object::at(object.map().next);
        Some(object)
    })
    .take(MOST_OBJECTS)
}

/// The executable.
fn first_object() -> Option<Object> {
    // SAFETY: ld.so fills `_r_debug` before it runs any other code; `map` is one aligned word, and
    // reading it through a volatile read never tears.
    Object::at(unsafe { (&raw const _r_debug.map).read_volatile() })
}

/// Address of the first definition of `name` (`name` or `name@VERSION`) in load order, among the
/// objects that `library_globs` accepts ([`Object::matches`]).
pub fn find_symbol(name: &[u8], library_globs: &[u8]) -> Option<usize> {
    find_symbol_where(name, |object| object.matches(library_globs))
}

/// As [`find_symbol`], in the objects that `accept` takes.
pub fn find_symbol_where(name: &[u8], mut accept: impl FnMut(&Object) -> bool) -> Option<usize> {
    let query = Query::parse(name);
    let _held = hold();
    objects()
        .filter(|object| accept(object))
        .find_map(|object| object.tables()?.find(&query))
}

/// The object whose mapping holds `address`.
pub fn object_of(address: usize) -> Option<Object> {
    find_object(address).and_then(|found| Object::at(found.link_map))
}

/// The mapping that holds `pc`: about 20 ns, no lock.
pub fn find_object(pc: usize) -> Option<FoundObject> {
    match dl_find_object() {
        Some(look_up) => ask_linker(look_up, pc),
        None => objects()
            .filter_map(|object| object.measured())
            .find(|found| (found.start..found.end).contains(&pc)),
    }
}

/// The GNU build id, read from the mapped notes.
pub fn build_id_of(found: &FoundObject) -> Option<&'static [u8]> {
    segments::build_id(found)
}

/// The path the object was loaded from, empty for the executable.
pub fn name_of(found: &FoundObject) -> &CStr {
    Object::at(found.link_map).map_or(c"", |object| object.name_unbound())
}

impl Object {
    fn at(link_map: usize) -> Option<Object> {
        let plausible =
            (LOWEST..HIGHEST).contains(&link_map) && link_map.is_multiple_of(align_of::<LinkMap>());
        plausible.then_some(Object { link_map })
    }

    fn map(&self) -> LinkMap {
        // SAFETY: `at` was given a pointer from the linker's list or from `_dl_find_object`; the
        // entry is readable until its object is unloaded (module comment), and is plain data.
        unsafe { with_exposed_provenance::<LinkMap>(self.link_map).read_volatile() }
    }

    /// The path the object was loaded from: empty for the executable.
    pub fn name(&self) -> &CStr {
        self.name_unbound()
    }

    fn name_unbound<'a>(&self) -> &'a CStr {
        let name = self.map().name;
        if name.is_null() {
            return c"";
        }
        // SAFETY: the linker keeps `l_name` NUL-terminated and in place as long as the entry.
        unsafe { CStr::from_ptr(name) }
    }

    /// Address of the linker's `struct link_map`: the object's identity while it is loaded.
    pub fn link_map(&self) -> usize {
        self.link_map
    }

    /// What is added to an address of the file to get one of the process.
    pub fn load_bias(&self) -> usize {
        self.map().load_bias
    }

    /// Address of its dynamic section.
    pub fn dynamic(&self) -> usize {
        self.map().dynamic
    }

    /// Where it is mapped; `None` for an object in the middle of being loaded or unloaded.
    pub fn range(&self) -> Option<Range<usize>> {
        self.found().map(|found| found.start..found.end)
    }

    /// The same object as [`find_object`] would return it.
    pub fn found(&self) -> Option<FoundObject> {
        let Some(look_up) = dl_find_object() else {
            return self.measured();
        };
        ask_linker(look_up, self.map().dynamic).filter(|found| found.link_map == self.link_map)
    }

    /// Its GNU build id.
    pub fn build_id(&self) -> Option<&'static [u8]> {
        build_id_of(&self.found()?)
    }

    /// Address of the symbol `name` that this object defines and exports.
    ///
    /// Without a version the default one is meant, as for dlsym; a `version` also finds a hidden
    /// one. A function chosen at run time (`STT_GNU_IFUNC`) is resolved; thread-local variables
    /// have no address and are not found.
    pub fn find_symbol(&self, name: &[u8], version: Option<&[u8]>) -> Option<usize> {
        let version = version.map_or(Version::Default, Version::Named);
        self.tables()?.find(&Query::new(name, version))
    }

    /// Whether one of the globs, separated by `|` and made of plain characters, `*` and `?`, fits
    /// the file name (or the whole path, for a glob with a `/`). Empty: every object does.
    pub fn matches(&self, globs: &[u8]) -> bool {
        any_fits(globs, self.name_unbound().to_bytes())
    }

    fn tables(&self) -> Option<Tables> {
        let map = self.map();
        // Without `_dl_find_object` there is nothing to confirm the entry with.
        if dl_find_object().is_some() {
            self.found()?;
        }
        Tables::read(map.load_bias, map.dynamic)
    }

    /// Its mapping by its program headers, for linkers without `_dl_find_object`.
    fn measured(&self) -> Option<FoundObject> {
        let map = self.map();
        segments::measure(map.load_bias, map.dynamic).map(|(start, end, eh_frame)| FoundObject {
            link_map: self.link_map,
            start,
            end,
            load_bias: map.load_bias,
            eh_frame,
        })
    }
}

/// `struct dl_find_object` of `<dlfcn.h>` on x86-64 and aarch64.
#[repr(C)]
struct DlFindObject {
    flags: u64,
    map_start: usize,
    map_end: usize,
    link_map: usize,
    eh_frame: usize,
    reserved: [u64; 7],
}

type LookUp = unsafe extern "C" fn(*mut c_void, *mut DlFindObject) -> c_int;

fn ask_linker(look_up: LookUp, pc: usize) -> Option<FoundObject> {
    let mut answer = MaybeUninit::<DlFindObject>::uninit();
    // SAFETY: `_dl_find_object` takes any address, is async-signal-safe, and writes `answer` whole
    // when it returns 0.
    let answer = unsafe {
        if look_up(with_exposed_provenance_mut(pc), answer.as_mut_ptr()) != 0 {
            return None;
        }
        answer.assume_init()
    };
    let object = Object::at(answer.link_map)?;
    Some(FoundObject {
        link_map: answer.link_map,
        start: answer.map_start,
        end: answer.map_end,
        load_bias: object.load_bias(),
        eh_frame: answer.eh_frame,
    })
}

/// The linker's `_dl_find_object`. Looked up rather than linked against: a linked reference would
/// keep the shim from loading at all where the C library is older than 2.35.
fn dl_find_object() -> Option<LookUp> {
    const UNKNOWN: usize = 0;
    const ABSENT: usize = 1;
    static ADDRESS: AtomicUsize = AtomicUsize::new(UNKNOWN);

    // Relaxed: the address is the whole message, and every thread would find the same one.
    let address = match ADDRESS.load(Ordering::Relaxed) {
        UNKNOWN => {
            let query = Query::new(b"_dl_find_object", Version::Default);
            let found = objects().find_map(|object| {
                let map = object.map();
                let linker = object.matches(b"ld-linux*|ld.so*|ld64*|libc.so*");
                linker.then(|| Tables::read(map.load_bias, map.dynamic)?.find(&query))?
            });
            let address = found.unwrap_or(ABSENT);
            ADDRESS.store(address, Ordering::Relaxed);
            address
        }
        address => address,
    };
    if address == ABSENT {
        return None;
    }
    // SAFETY: a function of this name in the C library or its linker has this documented type, and
    // neither is ever unloaded.
    Some(unsafe { std::mem::transmute::<*const c_void, LookUp>(with_exposed_provenance(address)) })
}
