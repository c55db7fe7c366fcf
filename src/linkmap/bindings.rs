//! What the dynamic linker has made of the references between loaded objects: for each that goes by a name, where it leads.
//!
//! The linker writes the address of what it has found into a slot of the object that refers to it. So the slots tell which
//! calls get to a hook and which lead past it, whatever the reason. A slot of a call that was never made may still lead to
//! its own object, where the linker would be asked; such a one tells nothing.

use super::_r_debug;
use super::HIGHEST;
use super::LOWEST;
use super::MOST_ENTRIES;
use super::MOST_OBJECTS;
use super::Object;
use super::Query;
use super::objects;
use super::peek;
use std::ffi::CStr;

const DT_PLTRELSZ: u64 = 2;
const DT_SYMTAB: u64 = 6;
const DT_RELA: u64 = 7;
const DT_RELASZ: u64 = 8;
const DT_JMPREL: u64 = 23;

/// Most relocations of one object.
const MOST_RELOCATIONS: usize = 1 << 26;

/// The relocations that write a function's address: 64 bits, into a table of addresses, and for a call.
#[cfg(target_arch = "x86_64")]
mod relocation {
    pub(super) const ADDRESS: u32 = 1;
    pub(super) const TABLE: u32 = 6;
    pub(super) const CALL: u32 = 7;
}
#[cfg(target_arch = "aarch64")]
mod relocation {
    pub(super) const ADDRESS: u32 = 257;
    pub(super) const TABLE: u32 = 1025;
    pub(super) const CALL: u32 = 1026;
}

const STB_WEAK: u8 = 2;
const SHN_UNDEF: u16 = 0;

/// A reference by name, as the linker has bound it.
#[derive(Clone, Copy, Debug)]
pub struct Reference<'name> {
    /// The name, without a version.
    pub name: &'name CStr,
    /// Where it leads; 0 for a weak one that nobody defines.
    pub target: usize,
    /// It may stay without a definition.
    pub is_weak: bool,
    /// It is there for calls.
    pub is_call: bool,
}

/// Where an object's relocations lie.
#[derive(Clone, Copy, Debug, Default)]
struct Relocations {
    symbols: usize,
    tables: [(usize, usize); 2],
}

impl Relocations {
    fn of(bias: usize, dynamic: usize) -> Self {
        let mut found = Self::default();
        for index in 0..MOST_ENTRIES {
            // SAFETY: the caller has read the object's tables by this dynamic section; it ends with a 0 tag.
            let [tag, value]: [u64; 2] = unsafe { peek(dynamic + index * 16) };
            let value = value as usize;
            // As in `Tables::read`.
            let address = if value < bias { value + bias } else { value };
            match tag {
                0 => break,
                DT_SYMTAB => found.symbols = address,
                DT_RELA => found.tables[0].0 = address,
                DT_RELASZ => found.tables[0].1 = value,
                DT_JMPREL => found.tables[1].0 = address,
                DT_PLTRELSZ => found.tables[1].1 = value,
                _ => {}
            }
        }
        found
    }
}

impl Object {
    /// Every reference by name of this object, in the order of its tables; one name may come again and again. To be called
    /// under a [`hold`](super::hold).
    pub fn references(&self, mut each: impl FnMut(&Reference<'_>)) {
        let (Some(found), Some(tables)) = (self.found(), self.tables()) else {
            return;
        };
        let bias = found.load_bias;
        let relocations = Relocations::of(bias, self.dynamic());
        for (table, bytes) in relocations.tables {
            if !(LOWEST..HIGHEST).contains(&table) {
                continue;
            }
            for index in 0..(bytes / 24).min(MOST_RELOCATIONS) {
                // SAFETY: an Elf64_Rela of a table that the linker has gone through: offset, symbol and kind, addend.
                let [offset, info, _]: [u64; 3] = unsafe { peek(table + index * 24) };
                let (symbol, kind) = ((info >> 32) as usize, info as u32);
                let is_call = kind == relocation::CALL;
                if symbol == 0
                    || !(is_call || [relocation::ADDRESS, relocation::TABLE].contains(&kind))
                {
                    continue;
                }
                let slot = bias.wrapping_add(offset as usize);
                if slot < found.start || slot > found.end.saturating_sub(8) {
                    continue;
                }
                // SAFETY: relocations name symbols of this table; an Elf64_Sym begins with the name's offset, then come
                // kind and binding, visibility, section. The linker has written to the slot.
                let (name, info, section, target) = unsafe {
                    let symbol = relocations.symbols + symbol * 24;
                    (
                        peek::<u32>(symbol),
                        peek::<u8>(symbol + 4),
                        peek::<u16>(symbol + 6),
                        peek::<usize>(slot),
                    )
                };
                each(&Reference {
                    name: tables.text(name as usize),
                    target,
                    is_weak: info >> 4 == STB_WEAK && section == SHN_UNDEF,
                    is_call,
                });
            }
        }
    }

    /// Whether this object defines and exports `name` (or `name@VERSION`).
    pub fn defines(&self, name: &[u8]) -> bool {
        self.address_of(name).is_some()
    }

    /// Its own definition of `name` (or `name@VERSION`).
    pub fn address_of(&self, name: &[u8]) -> Option<usize> {
        self.tables()?.find(&Query::parse(name))
    }
}

/// The objects in namespaces of their own, which dlmopen has made; what the linker tells debuggers about, from glibc 2.35 on.
pub fn objects_apart() -> impl Iterator<Item = Object> {
    /// `r_next` follows the first version's fields.
    const NEXT: usize = 40;
    let next_of = |debug: usize| {
        // SAFETY: of version 2 and later the structure has one field more.
        let next = unsafe { (peek::<i32>(debug) >= 2).then(|| peek::<usize>(debug + NEXT)) };
        next.filter(|next| (LOWEST..HIGHEST).contains(next) && next.is_multiple_of(8))
    };
    let mut debug = next_of((&raw const _r_debug).expose_provenance());
    let spaces = std::iter::from_fn(move || {
        let space = debug?;
        debug = next_of(space);
        Some(space)
    });
    spaces.take(64).flat_map(|space| {
        // SAFETY: another `struct r_debug`, whose second word is its list.
        chain(unsafe { peek(space + 8) })
    })
}

fn chain(link_map: usize) -> impl Iterator<Item = Object> {
    let mut next = Object::at(link_map);
    std::iter::from_fn(move || {
        let object = next?;
        next = Object::at(object.map().next);
        Some(object)
    })
    .take(MOST_OBJECTS)
}

/// Whether an object is the program itself.
pub fn is_program(object: &Object) -> bool {
    objects().next().as_ref() == Some(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linkmap::object_of;

    #[test]
    fn a_reference_leads_to_what_the_linker_has_bound() {
        let program = objects().next().expect("a program");
        let getppid = libc::getppid as *const () as usize;
        let mut targets = Vec::new();
        program.references(|reference| {
            if reference.name == c"getppid" {
                targets.push(reference.target);
            }
        });
        assert!(targets.contains(&getppid), "{targets:?} {getppid}");
        let library = object_of(getppid).expect("the C library");
        assert_eq!(library.address_of(b"getppid"), Some(getppid));
        assert!(library.defines(b"malloc") && !program.defines(b"malloc"));
        assert!(is_program(&program) && !is_program(&library));
    }

    #[test]
    fn what_dlmopen_opens_is_apart() {
        // SAFETY: the C library itself, once more, in a namespace of its own.
        let opened =
            unsafe { libc::dlmopen(libc::LM_ID_NEWLM, c"libc.so.6".as_ptr(), libc::RTLD_NOW) };
        assert!(!opened.is_null());
        let apart = objects_apart().find(|object| object.link_map() == opened.addr());
        assert!(apart.is_some_and(|object| object.defines(b"malloc")));
        let base: Vec<Object> = objects().collect();
        assert!(objects_apart().all(|object| !base.contains(&object)));
        // SAFETY: it was just opened.
        unsafe { libc::dlclose(opened) };
    }
}
