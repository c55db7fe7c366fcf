//! loom's atomics, whose loads loom does not overlook.
//!
//! loom 0.7 keeps of the accesses of an atomic the last one only: where a thread loads a word and then changes it, it
//! forgets that another one has loaded it in between, and never tries the change before that load. So each load is
//! preceded by a store to a word beside, which nobody reads: two stores to one word are always tried both ways.

use std::fmt;

use loom::sync::atomic;
use loom::sync::atomic::Ordering;

/// A word that is stored to before a load.
#[derive(Default)]
struct Beside(atomic::AtomicBool);

impl Beside {
    fn observe(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

macro_rules! observed {
    ($name:ident, $value:ty, [$($generic:ident)?], [$($number:ident),*]) => {
        /// As loom's.
        pub struct $name $(<$generic>)? {
            value: atomic::$name $(<$generic>)?,
            beside: Beside,
        }

        #[expect(missing_docs, reason = "they are those of the standard library")]
        impl $(<$generic>)? $name $(<$generic>)? {
            pub fn new(value: $value) -> Self {
                Self {
                    value: atomic::$name::new(value),
                    beside: Beside::default(),
                }
            }

            pub fn load(&self, order: Ordering) -> $value {
                self.beside.observe();
                self.value.load(order)
            }

            pub fn store(&self, value: $value, order: Ordering) {
                self.value.store(value, order);
            }

            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                self.value.swap(value, order)
            }

            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.value.compare_exchange(current, new, success, failure)
            }

            $(
                pub fn $number(&self, value: $value, order: Ordering) -> $value {
                    self.value.$number(value, order)
                }
            )*
        }

        impl $(<$generic>)? fmt::Debug for $name $(<$generic>)? {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(stringify!($name))
            }
        }
    };
}

observed!(AtomicBool, bool, [], []);
observed!(
    AtomicU32,
    u32,
    [],
    [fetch_add, fetch_sub, fetch_or, fetch_and, fetch_max]
);
observed!(
    AtomicU64,
    u64,
    [],
    [fetch_add, fetch_sub, fetch_or, fetch_and, fetch_max]
);
observed!(
    AtomicUsize,
    usize,
    [],
    [fetch_add, fetch_sub, fetch_or, fetch_and, fetch_max]
);
observed!(AtomicPtr, *mut T, [T], []);

macro_rules! begins_as_zero {
    ($($name:ident),*) => {
        $(
            impl Default for $name {
                fn default() -> Self {
                    Self::new(Default::default())
                }
            }
        )*
    };
}

begins_as_zero!(AtomicBool, AtomicU32, AtomicU64, AtomicUsize);
