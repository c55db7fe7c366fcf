//! Answers that outlive the process: what is kept of a module, by its build id, and whether it may be believed.
//!
//! A build id names the very content of a file, so what was read of it is true also when the file is gone. While it
//! is there, its answers are those of a stamp: a debug file that came later, or a file that was written again, makes
//! another one, and then everything is read anew.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;
use twox_hash::XxHash3_128;
use whofreed_trace::Module;

use crate::answers::Answers;
use crate::answers::Wire;
use crate::sources::Stamp;

/// Where bytes about builds are kept from one process to the next. All of it may fail silently: whatever is not handed
/// back is worked out again.
pub trait Store: fmt::Debug + Sync {
    /// What was last kept for a build id, or anything else: it is checked.
    fn read(&self, build_id: &[u8]) -> Option<Vec<u8>>;
    /// Keeps `bytes` in the place of what was kept before.
    fn write(&self, build_id: &[u8], bytes: &[u8]);
}

/// The first bytes; the number is that of the format, and rises with every change of what the answers mean.
const MAGIC: [u8; 12] = *b"wf-symbols 1";
const CHECKSUM: usize = size_of::<u128>();
/// A build id is a hash of at least 64 bits; anything shorter is somebody's own idea of one.
const BUILD_ID: std::ops::RangeInclusive<usize> = 8..=64;
/// What is longer is neither read nor kept.
const LONGEST: usize = 32 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    /// Who wrote it: readers of other versions may have read something else.
    version: String,
    build_id: Vec<u8>,
    /// Where the file was.
    path: String,
    stamp: Stamp,
    answers: Wire,
}

/// Whether answers about the module may be kept at all.
pub(crate) fn can_be_kept(module: &Module) -> bool {
    BUILD_ID.contains(&module.build_id.len())
}

/// What is kept about a module whose files have this stamp; without a stamp, about the one that was at its path.
pub(crate) fn read(store: &dyn Store, module: &Module, stamp: Option<&Stamp>) -> Option<Answers> {
    if !can_be_kept(module) {
        return None;
    }
    let kept = unpack(&store.read(&module.build_id)?)?;
    let is_it = kept.build_id == module.build_id
        && stamp.map_or_else(|| kept.path == module.path, |stamp| kept.stamp == *stamp);
    is_it.then(|| kept.answers.answers())?
}

/// Keeps the answers about a module.
pub(crate) fn write(store: &dyn Store, module: &Module, stamp: &Stamp, answers: &Answers) {
    let kept = Kept {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build_id: module.build_id.clone(),
        path: module.path.clone(),
        stamp: stamp.clone(),
        answers: Wire::of(answers),
    };
    if let Some(bytes) = pack(&kept) {
        store.write(&module.build_id, &bytes);
    }
}

fn pack(kept: &Kept) -> Option<Vec<u8>> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend([0; CHECKSUM]);
    let mut bytes = postcard::to_extend(kept, bytes).ok()?;
    let (head, body) = bytes.split_at_mut(MAGIC.len() + CHECKSUM);
    head[MAGIC.len()..].copy_from_slice(&XxHash3_128::oneshot(body).to_le_bytes());
    (bytes.len() <= LONGEST).then_some(bytes)
}

fn unpack(bytes: &[u8]) -> Option<Kept> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (checksum, body) = rest.split_first_chunk::<CHECKSUM>()?;
    if bytes.len() > LONGEST || XxHash3_128::oneshot(body).to_le_bytes() != *checksum {
        return None;
    }
    let (kept, rest) = postcard::take_from_bytes::<Kept>(body).ok()?;
    (rest.is_empty() && kept.version == env!("CARGO_PKG_VERSION")).then_some(kept)
}
