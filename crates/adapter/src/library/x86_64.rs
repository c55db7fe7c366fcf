//! All of the generated library that depends on the machine: the stubs' code, their unwind information, the
//! relocation of a slot.

use object::elf;
use whofreed_hooktable::STUB_LEN as STUBS_APART;

pub(super) const MACHINE: elf::Machine = elf::EM_X86_64;
/// Makes a slot hold a symbol's address.
pub(super) const SLOT_RELOCATION: elf::RelocationType = elf::R_X86_64_GLOB_DAT;
pub(super) const STUB_LEN: u64 = STUBS_APART as u64;
pub(super) const PAGE: u64 = 4096;

/// The stub with a number, at `address`, jumping through `slot`. `r11` is free at every call, and since the slot is
/// bound before anybody runs, nothing can change it between here and the thunk.
pub(super) fn stub(number: u32, address: u64, slot: u64) -> Vec<u8> {
    let mut code = vec![0xf3, 0x0f, 0x1e, 0xfa]; // endbr64
    code.extend([0x41, 0xbb]); // mov r11d, number
    code.extend(number.to_le_bytes());
    code.extend([0xff, 0x25]); // jmp [rip + distance]
    code.extend(distance(address + STUB_LEN, slot));
    code
}

/// `.eh_frame` at `address`, for stubs of `len` bytes at `stubs`: the caller is found as at a function's entry.
pub(super) fn frames(address: u64, stubs: u64, len: u64) -> Vec<u8> {
    let mut out = Vec::new();
    // A common entry: version 1, "zR", code and data alignment 1 and -8, return address in column 16, pointers
    // relative and of 4 bytes; the frame is at rsp + 8 and the return address 8 below it.
    entry(
        &mut out,
        0,
        &[1, b'z', b'R', 0, 1, 0x78, 16, 1, 0x1b, 0x0c, 7, 8, 0x90, 1],
    );
    let at = address + out.len() as u64 + 8;
    let mut fields = distance(at, stubs).to_vec();
    fields.extend(len.to_le_bytes().into_iter().take(4));
    fields.push(0);
    let to_common = at - 4 - address;
    entry(&mut out, to_common, &fields);
    out.extend([0; 4]);
    out
}

pub(super) const FRAMES_LEN: u64 = 24 + 24 + 4;
const FIRST_FRAME: u64 = 24;

/// `.eh_frame_hdr` at `address`, the search table for the one entry of `frames`.
pub(super) fn frames_header(address: u64, frames: u64, stubs: u64) -> Vec<u8> {
    let mut out = vec![1, 0x1b, 3, 0x3b];
    out.extend(distance(address + 4, frames));
    out.extend(1_u32.to_le_bytes());
    out.extend(distance(address, stubs));
    out.extend(distance(address, frames + FIRST_FRAME));
    out
}

pub(super) const FRAMES_HEADER_LEN: u64 = 20;

fn entry(out: &mut Vec<u8>, common: u64, fields: &[u8]) {
    let start = out.len();
    out.extend([0; 4]);
    out.extend(common.to_le_bytes().into_iter().take(4));
    out.extend(fields);
    out.resize(start + (out.len() - start).next_multiple_of(8), 0);
    let len = (out.len() - start - 4) as u64;
    out[start..start + 4].copy_from_slice(&len.to_le_bytes()[..4]);
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the library is far smaller than 2 GiB"
)]
fn distance(from: u64, to: u64) -> [u8; 4] {
    (to.wrapping_sub(from) as u32).to_le_bytes()
}
