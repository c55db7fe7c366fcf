//! Who is told of excess frees: the host's callback and the `user` that belongs to it, never one without the other.
//!
//! A pair is written once and never changes; which one is in force is a single word. A pair that comes again is found
//! again, so that a host may go back and forth between a few for ever.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use crate::abi::WfExcess;
use crate::abi::WfExcessCallback;
use crate::arena::Arena;
use crate::arena::ZeroInit;
use crate::index::Index;
use crate::index::Inserted;
use crate::index::MappedSlots;
use crate::mix::mix;
use crate::sys;

/// Most different pairs.
const MAX_PAIRS: u32 = 1 << 16;

/// A callback that is there.
type Callback = unsafe extern "C" fn(event: *const WfExcess, user: *mut c_void);

/// A callback and what is handed to it. Written before it is offered to the index.
#[derive(Debug, Default)]
struct Pair {
    callback: AtomicUsize,
    user: AtomicPtr<c_void>,
}

// SAFETY: zeroed memory is two valid atomics, which may be shared.
unsafe impl ZeroInit for Pair {}

/// Every pair that was ever set.
#[derive(Debug)]
struct Pairs {
    pairs: Arena<Pair>,
    index: Index<MappedSlots>,
    /// The number of the pair in force plus one, or 0.
    current: AtomicU32,
}

/// Null before the first pair.
static PAIRS: AtomicPtr<Pairs> = AtomicPtr::new(ptr::null_mut());

impl Pairs {
    fn new(most: u32) -> Option<Self> {
        Some(Self {
            pairs: Arena::new(most)?,
            index: Index::new(MappedSlots::new(most as usize)?),
            current: AtomicU32::new(0),
        })
    }

    /// Puts a pair in force; false, and none is, when there are too many.
    fn set(&self, callback: Callback, user: *mut c_void) -> bool {
        let number = self.number(callback as usize, user);
        // Release: whoever reads the number sees the pair.
        self.current
            .store(number.map_or(0, |number| number + 1), Ordering::Release);
        number.is_some()
    }

    fn number(&self, callback: usize, user: *mut c_void) -> Option<u32> {
        let hash = mix(callback as u64 ^ mix(user.addr() as u64));
        let is_same = |number| {
            let pair = self.pairs.get(number);
            // Relaxed: the index was read with Acquire, and the pair was there before.
            pair.callback.load(Ordering::Relaxed) == callback
                && pair.user.load(Ordering::Relaxed) == user
        };
        if let Some(number) = self.index.find(hash, is_same) {
            return Some(number);
        }
        let new = self.pairs.take()?;
        let pair = self.pairs.get(new);
        pair.callback.store(callback, Ordering::Relaxed);
        pair.user.store(user, Ordering::Relaxed);
        match self.index.insert(hash, is_same, new) {
            Inserted::Found(number) => Some(number),
            // A full index only means that this pair will be taken for a new one next time.
            Inserted::New | Inserted::Full => Some(new),
        }
    }

    fn current(&self) -> Option<(Callback, *mut c_void)> {
        let number = self.current.load(Ordering::Acquire).checked_sub(1)?;
        let pair = self.pairs.get(number);
        let callback = pair.callback.load(Ordering::Relaxed);
        // SAFETY: `set` stored the address of a function of this very type.
        let callback = unsafe { std::mem::transmute::<usize, Callback>(callback) };
        Some((callback, pair.user.load(Ordering::Relaxed)))
    }
}

fn pairs() -> Option<&'static Pairs> {
    // SAFETY: null, or pairs in memory that is never given back.
    unsafe { PAIRS.load(Ordering::Acquire).as_ref() }
}

/// The pairs, in memory of the shim's own: a signal handler may be the first to set one.
fn make_pairs() -> Option<&'static Pairs> {
    let memory = sys::reserve(size_of::<Pairs>())?.cast::<Pairs>();
    let made = Pairs::new(MAX_PAIRS)?;
    // SAFETY: fresh memory of the right size, aligned to a page, that nobody else knows.
    unsafe { memory.write(made) };
    let none = ptr::null_mut();
    // Of two who make them at once one is believed; the other's stay unused.
    let _ = PAIRS.compare_exchange(none, memory.as_ptr(), Ordering::AcqRel, Ordering::Acquire);
    pairs()
}

/// Sets who is told. False when that cannot be remembered: then nobody is.
pub(super) fn set(callback: WfExcessCallback, user: *mut c_void) -> bool {
    match (callback, pairs()) {
        (None, None) => true,
        (None, Some(pairs)) => {
            pairs.current.store(0, Ordering::Release);
            true
        }
        (Some(callback), known) => known
            .or_else(make_pairs)
            .is_some_and(|pairs| pairs.set(callback, user)),
    }
}

/// Who is told now.
pub(super) fn current() -> Option<(Callback, *mut c_void)> {
    pairs()?.current()
}

#[cfg(test)]
mod tests {
    use std::ffi::c_void;
    use std::ptr;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering;

    use super::Callback;
    use super::Pairs;
    use crate::abi::WfExcess;

    unsafe extern "C" fn first(_event: *const WfExcess, _user: *mut c_void) {}

    /// Not the same code, or it might be the same function.
    unsafe extern "C" fn second(_event: *const WfExcess, user: *mut c_void) {
        std::hint::black_box(user);
    }

    fn place(number: usize) -> *mut c_void {
        ptr::without_provenance_mut(number)
    }

    #[test]
    fn a_callback_is_never_called_with_the_user_of_another() {
        let pairs = Pairs::new(64).expect("memory");
        let second: Callback = second;
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..200_000 {
                    assert!(pairs.set(first, place(1)) && pairs.set(second, place(2)));
                }
                is_over.store(true, Ordering::Relaxed);
            });
            while !is_over.load(Ordering::Relaxed) {
                if let Some((callback, user)) = pairs.current() {
                    let wanted = if callback as usize == second as usize {
                        place(2)
                    } else {
                        place(1)
                    };
                    assert_eq!(user, wanted);
                }
            }
        });
        assert_eq!(pairs.pairs.taken(), 2);
    }

    #[test]
    fn with_too_many_pairs_nobody_is_told() {
        let pairs = Pairs::new(64).expect("memory");
        assert!((0..64).all(|user| pairs.set(first, place(user))));
        assert!(!pairs.set(first, place(64)));
        assert!(pairs.current().is_none());
        assert!(pairs.set(first, place(63)));
        assert_eq!(pairs.current().map(|pair| pair.1), Some(place(63)));
    }
}
