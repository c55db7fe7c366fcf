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
const MAGIC: [u8; 12] = *b"wf-symbols 2";
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
    stamp: Stamp,
    answers: Wire,
}

/// Whether answers about the module may be kept at all.
pub(crate) fn can_be_kept(module: &Module) -> bool {
    BUILD_ID.contains(&module.build_id.len())
}

/// What is kept about a module whose files have this stamp; without one, since its file is gone, whatever was read of a
/// file with its build id, wherever that was.
pub(crate) fn read(store: &dyn Store, module: &Module, stamp: Option<&Stamp>) -> Option<Answers> {
    if !can_be_kept(module) {
        return None;
    }
    let kept = unpack(&store.read(&module.build_id)?)?;
    let is_it = kept.build_id == module.build_id && stamp.is_none_or(|stamp| kept.stamp == *stamp);
    is_it.then(|| kept.answers.answers())?
}

/// Keeps the answers about a module.
pub(crate) fn write(store: &dyn Store, module: &Module, stamp: &Stamp, answers: &Answers) {
    let kept = Kept {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        build_id: module.build_id.clone(),
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

/// What `fuzz/` reaches: a checksum keeps nearly all that it tries away from what lies behind.
#[cfg(fuzzing)]
pub(crate) mod fuzzing {
    use super::*;

    /// Reads what a file in the cache holds; whether it is believed.
    #[must_use]
    pub fn read_kept(bytes: &[u8]) -> bool {
        unpack(bytes).is_some_and(|kept| kept.answers.answers().is_some())
    }

    /// Reads what lies behind the checksum; whether it says the same when it is written down again.
    #[must_use]
    pub fn reads_body(body: &[u8]) -> bool {
        let Ok((wire, _)) = postcard::take_from_bytes::<Wire>(body) else {
            return false;
        };
        let Some(answers) = wire.answers() else {
            return false;
        };
        let written = postcard::to_allocvec(&Wire::of(&answers)).unwrap_or_default();
        let again = postcard::from_bytes::<Wire>(&written)
            .ok()
            .and_then(Wire::answers);
        let written_again = again.map(|again| postcard::to_allocvec(&Wire::of(&again)));
        assert!(
            written_again.is_some_and(|again| again.as_ref().is_ok_and(|again| *again == written)),
            "answers are not what was written of them"
        );
        true
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "a test may panic")]

    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::answers::RawLine;
    use crate::call_sites::Callee;
    use crate::call_sites::Function;
    use crate::call_sites::TailCall;

    fn text() -> impl Strategy<Value = Arc<str>> {
        "[a-d]{0,3}".prop_map(Arc::from)
    }

    fn callee() -> impl Strategy<Value = Callee> {
        let parts = (0..5u64, any::<u64>(), proptest::option::of(text()));
        parts.prop_map(|(root, unit, symbol)| Callee { root, unit, symbol })
    }

    fn function() -> impl Strategy<Value = Arc<Function>> {
        let jump = (
            any::<u64>(),
            any::<Option<u64>>(),
            proptest::option::of(callee()),
        );
        let jump = jump.prop_map(|(address, behind, callee)| TailCall {
            address,
            behind,
            callee,
        });
        let jumps = proptest::collection::vec(jump, 0..3);
        let parts = (callee(), 0..3u64, 0..3u32, any::<bool>(), jumps);
        parts.prop_map(|(callee, entry, line, is_complete, tail_calls)| {
            Arc::new(Function {
                callee,
                entry,
                line,
                is_complete,
                tail_calls,
            })
        })
    }

    fn answers() -> impl Strategy<Value = Answers> {
        let line = (
            proptest::option::of(text()),
            proptest::option::of(text()),
            any::<u32>(),
        );
        let line = line.prop_map(|(function, file, line)| RawLine {
            function,
            file,
            line,
        });
        let lines = proptest::collection::vec(line, 0..4);
        let step = (
            (any::<u64>(), lines, proptest::option::of(text())),
            (
                proptest::option::of(callee()),
                proptest::option::of(function()),
            ),
            (
                text(),
                proptest::collection::vec(function(), 0..3),
                any::<bool>(),
            ),
        );
        proptest::collection::vec(step, 0..8).prop_map(|steps| {
            let mut answers = Answers::default();
            for ((at, lines, text), (callee, function), (symbol, copies, is_import)) in steps {
                let lines = answers.interned(lines);
                answers.lines.insert(at, lines);
                answers.symbols.insert(at, text.clone());
                answers.callees.insert(at, callee.clone());
                answers.called_by_code.insert(at, callee);
                answers.functions.insert(at, function.clone());
                answers.definitions.insert((at, at), copies.into());
                answers.declared.insert(at, text.map(|text| (text, 7)));
                answers.named.insert(Arc::clone(&symbol), function);
                answers.imports.insert(symbol, is_import);
            }
            answers
        })
    }

    fn kept(answers: &Answers) -> Kept {
        Kept {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build_id: vec![7; 20],
            stamp: Stamp::default(),
            answers: Wire::of(answers),
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_was_written(answers in answers()) {
            let bytes = pack(&kept(&answers)).expect("it is short");
            let read = unpack(&bytes).expect("it is whole").answers.answers();
            let read = read.expect("it agrees with itself");
            prop_assert!(!read.have_new());
            prop_assert_eq!(format!("{:?}", Wire::of(&read)), format!("{:?}", Wire::of(&answers)));
            for (at, lines) in answers.lines.iter() {
                prop_assert_eq!(read.lines.get(at), Some(lines));
            }
            for (symbol, function) in answers.named.iter() {
                prop_assert_eq!(read.named.get(symbol), Some(function));
            }
        }

        /// Whoever can write the checksum as well gets no further than to names of their own.
        #[test]
        fn hostile_bytes_with_the_right_checksum_never_panic(
            answers in answers(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..9),
            cut in prop_oneof![9 => Just(0usize), 1 => 1..4usize],
        ) {
            let mut bytes = pack(&kept(&answers)).expect("it is short");
            let start = MAGIC.len() + CHECKSUM;
            bytes.truncate(start.max(bytes.len() - cut));
            let (head, body) = bytes.split_at_mut(start);
            for (place, byte) in changes {
                let place = place.index(body.len());
                body[place] = byte;
            }
            let checksum = XxHash3_128::oneshot(body).to_le_bytes();
            head[MAGIC.len()..].copy_from_slice(&checksum);
            if let Some(kept) = unpack(&bytes) {
                let _ = kept.answers.answers();
            }
        }
    }

    #[test]
    fn of_another_version_or_format_nothing_is_read() {
        let answers = Answers::default();
        let good = kept(&answers);
        assert!(unpack(&pack(&good).expect("short")).is_some());
        let other = Kept {
            version: "0.0.9".to_owned(),
            ..kept(&answers)
        };
        assert!(unpack(&pack(&other).expect("short")).is_none());
        let mut bytes = pack(&good).expect("short");
        bytes[MAGIC.len() - 1] += 1;
        assert!(unpack(&bytes).is_none());
        assert!(unpack(&MAGIC).is_none());
        // Longer than what it says.
        let mut bytes = pack(&good).expect("short");
        bytes.push(0);
        let checksum = XxHash3_128::oneshot(&bytes[MAGIC.len() + CHECKSUM..]).to_le_bytes();
        bytes[MAGIC.len()..MAGIC.len() + CHECKSUM].copy_from_slice(&checksum);
        assert!(unpack(&bytes).is_none());
    }
}
