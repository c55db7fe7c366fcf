//! The layout of a mapped object: program headers and notes.

use super::FoundObject;
use super::LOWEST;
use super::MOST_ENTRIES;
use super::peek;
use std::ffi::c_void;
use std::ptr::with_exposed_provenance;

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
const NT_GNU_BUILD_ID: u32 = 3;

/// No build id is longer than the longest hash in use (64 bytes).
const MOST_BUILD_ID: usize = 64;

/// `Elf64_Phdr`.
#[repr(C)]
#[derive(Clone, Copy)]
struct ProgramHeader {
    kind: u32,
    flags: u32,
    offset: u64,
    address: u64,
    physical: u64,
    file_size: u64,
    memory_size: u64,
    align: u64,
}

/// The program headers of the ELF file mapped at `header`.
///
/// # Safety
/// The page at `header` is readable.
unsafe fn program_headers(header: usize) -> Option<impl Iterator<Item = ProgramHeader> + Clone> {
    // SAFETY: an Elf64_Ehdr fits the first page; phoff at 32, phentsize at 54, phnum at 56.
    let (magic, offset, size, count) = unsafe {
        (
            peek::<[u8; 5]>(header),
            peek::<u64>(header + 32) as usize,
            peek::<u16>(header + 54) as usize,
            peek::<u16>(header + 56) as usize,
        )
    };
    let whole = offset.checked_add(count * size_of::<ProgramHeader>())?;
    // 64-bit ELF, and headers within the page that is known to be readable.
    if magic != *b"\x7fELF\x02" || size != size_of::<ProgramHeader>() || whole > 4096 {
        return None;
    }
    // SAFETY: within the first page by the check above.
    Some((0..count).map(move |index| unsafe { peek(header + offset + index * size) }))
}

/// The build id of a mapped object, by its notes.
pub(super) fn build_id(found: &FoundObject) -> Option<&'static [u8]> {
    if !found.start.is_multiple_of(4096) || found.end < found.start.checked_add(4096)? {
        return None;
    }
    // SAFETY: the first page of an object's mapping is readable, it holds the file's header.
    let headers = unsafe { program_headers(found.start) }?;
    for note in headers.clone().filter(|header| header.kind == PT_NOTE) {
        let inside_load = headers.clone().any(|load| {
            load.kind == PT_LOAD
                && load.flags & 4 != 0
                && note.address >= load.address
                && note.address.saturating_add(note.file_size)
                    <= load.address.saturating_add(load.file_size)
        });
        let begin = found.load_bias.wrapping_add(note.address as usize);
        let end = begin.checked_add(note.file_size as usize)?;
        if !inside_load || begin < found.start || end > found.end {
            continue;
        }
        if let Some(id) = gnu_build_id(begin, end, note.align.max(4) as usize) {
            return Some(id);
        }
    }
    None
}

fn gnu_build_id(begin: usize, end: usize, align: usize) -> Option<&'static [u8]> {
    let align = if align == 8 { 8 } else { 4 };
    let mut at = begin;
    for _ in 0..MOST_ENTRIES {
        if at.checked_add(16)? > end {
            return None;
        }
        // SAFETY: `at + 16 <= end`, and `begin..end` lies in a readable segment.
        let ([name_size, size, kind], name): ([u32; 3], [u8; 4]) =
            unsafe { (peek(at), peek(at + 12)) };
        let (name_size, size) = (name_size as usize, size as usize);
        let content = (at + 12 + name_size).next_multiple_of(align);
        let next = (content.checked_add(size)?).next_multiple_of(align);
        if content.checked_add(size)? > end {
            return None;
        }
        if kind == NT_GNU_BUILD_ID && name_size == 4 && name == *b"GNU\0" {
            let known = (1..=MOST_BUILD_ID).contains(&size);
            // SAFETY: `content + size <= end` as above. The bytes are constant and stay as long
            // as the object is loaded, which whoever holds the `FoundObject` has to see to.
            return known.then(|| unsafe {
                std::slice::from_raw_parts(with_exposed_provenance(content), size)
            });
        }
        at = next;
    }
    None
}

/// Start, end and `.eh_frame_hdr` of an object by its program headers.
///
/// For linkers that cannot be asked. The header is where an object linked at 0 has it, at the load
/// bias; anything else (an executable linked to a fixed address) is found by the kernel's notes.
pub(super) fn measure(bias: usize, dynamic: usize) -> Option<(usize, usize, usize)> {
    // SAFETY: getauxval only reads.
    let own = unsafe { libc::getauxval(libc::AT_PHDR) } as usize & !4095;
    for header in [bias, own] {
        if header < LOWEST || !header.is_multiple_of(4096) || !is_mapped(header) {
            continue;
        }
        // SAFETY: the page is mapped; an object's first page is readable.
        let Some(headers) = (unsafe { program_headers(header) }) else {
            continue;
        };
        let (mut start, mut end, mut eh_frame) = (usize::MAX, 0, 0);
        for segment in headers {
            let address = bias.wrapping_add(segment.address as usize);
            if segment.kind == PT_LOAD {
                start = start.min(address & !4095);
                end = end.max(address.wrapping_add(segment.memory_size as usize));
            } else if segment.kind == PT_GNU_EH_FRAME {
                eh_frame = address;
            }
        }
        if (start..end).contains(&dynamic) {
            return Some((start, end, eh_frame));
        }
    }
    None
}

fn is_mapped(page: usize) -> bool {
    let mut state = 0u8;
    // SAFETY: mincore only fills one byte per page, and refuses unmapped ranges with ENOMEM.
    unsafe { libc::mincore(page as *mut c_void, 1, &raw mut state) == 0 }
}
