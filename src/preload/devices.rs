//! Devices as adapters know them (kind, id, memory: up to four numbers), made into the one number of the contract.
//!
//! The number comes from a hash of the parts, so that it is the same in every process of a run.

use std::fmt;
use std::fmt::Write;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use whofreed_hooktable::MAX_DEVICE_PARTS;

use super::table::Hooked;

/// Numbers below are left to hosts that call the C interface themselves.
const FIRST_NUMBER: u32 = 1000;
const MAX_DEVICES: usize = 1024;
const MAX_GROUPS: usize = 256;

/// The parts of a device.
pub(super) type Parts = [u64; MAX_DEVICE_PARTS];

/// Hashes of the devices that were seen; a device's place gives its number.
static DEVICES: [AtomicU64; MAX_DEVICES] = [const { AtomicU64::new(0) }; MAX_DEVICES];

/// The place among all of a device of the adapter with this seed; none when there are too many.
pub(super) fn place(seed: u64, parts: &Parts) -> Option<usize> {
    let hash = hash(seed, parts);
    let start = usize::try_from(hash >> 32).unwrap_or(0);
    let mut places = (0..MAX_DEVICES).map(|step| (start + step) % MAX_DEVICES);
    places.find(|place| {
        let known = &DEVICES[*place];
        let claim = || known.compare_exchange(0, hash, Ordering::Relaxed, Ordering::Relaxed);
        match known.load(Ordering::Relaxed) {
            0 => claim().map_or_else(|other| other == hash, |_| true),
            other => other == hash,
        }
    })
}

/// The number of the device at a place.
pub(super) fn number(place: usize) -> u32 {
    FIRST_NUMBER + u32::try_from(place).unwrap_or(0)
}

/// 64 bits of the adapter's name and the parts; never 0.
fn hash(seed: u64, parts: &Parts) -> u64 {
    parts.iter().copied().fold(seed, mix) | 1
}

/// What the hashes of an adapter's devices begin with.
pub(super) fn seed(name: &[u8]) -> u64 {
    let bytes = name.iter().copied().map(u64::from);
    bytes.fold(0xcbf2_9ce4_8422_2325, mix)
}

fn mix(hash: u64, value: u64) -> u64 {
    let hash = (hash ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^ hash >> 29
}

/// A short text on the stack; what does not fit is cut.
#[derive(Debug)]
pub(super) struct Name {
    bytes: [u8; 128],
    len: usize,
}

impl Name {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn append(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = *byte;
                self.len += 1;
            }
        }
    }
}

impl Write for Name {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.append(text.as_bytes());
        Ok(())
    }
}

/// What a device is called: its parts' names or numbers, or the adapter's name where it has no parts.
pub(super) fn name(hooked: &Hooked, parts: &Parts) -> Name {
    let mut name = Name {
        bytes: [0; 128],
        len: 0,
    };
    if hooked.adapter.parts_count == 0 {
        name.append(hooked.table.text(hooked.adapter.name));
    }
    for (index, value) in (0..hooked.adapter.parts_count).zip(parts) {
        if index > 0 {
            name.append(b" ");
        }
        let part = hooked
            .table
            .part((hooked.adapter.parts_first + index) as usize);
        let text = part.and_then(|part| {
            let place = u32::try_from(*value)
                .ok()
                .filter(|value| *value < part.names_count)?;
            hooked.table.listed((part.names_first + place) as usize)
        });
        match text {
            Some(text) => name.append(text),
            None => {
                // Cannot fail: what does not fit is cut.
                let _ = write!(name, "{value}");
            }
        }
    }
    name
}

struct Member {
    group: AtomicU64,
    /// The device's number, 0 while it is not known.
    device: AtomicU32,
}

static MEMBERS: [Member; MAX_GROUPS] = [const {
    Member {
        group: AtomicU64::new(0),
        device: AtomicU32::new(0),
    }
}; MAX_GROUPS];

/// Notes that a device belongs to what is released at once under the value `group`; 0 is none.
#[inline]
pub(super) fn join(group: u64, device: u32) {
    if group != 0 {
        join_group(group, device);
    }
}

fn join_group(group: u64, device: u32) {
    for member in &MEMBERS {
        let known = member.group.load(Ordering::Relaxed);
        if known == group && member.device.load(Ordering::Relaxed) == device {
            return;
        }
        if known == 0 {
            let claimed =
                member
                    .group
                    .compare_exchange(0, group, Ordering::Relaxed, Ordering::Relaxed);
            if claimed.is_ok() {
                member.device.store(device, Ordering::Release);
                return;
            }
        }
    }
}

/// The devices of a group.
pub(super) fn members(group: u64) -> impl Iterator<Item = u32> {
    let of_group = MEMBERS
        .iter()
        .filter(move |member| group != 0 && member.group.load(Ordering::Relaxed) == group);
    of_group
        .map(|member| member.device.load(Ordering::Acquire))
        .filter(|device| *device != 0)
}
