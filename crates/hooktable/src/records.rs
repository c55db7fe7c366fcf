//! The records of a table. Every field is one word, but `guard_value`, which is two.

/// How many parts the identity of a device may have.
pub const MAX_DEVICE_PARTS: usize = 4;

/// What a hooked function means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Event {
    /// A buffer was handed out.
    Allocate = 1,
    /// A buffer is given back.
    Deallocate = 2,
    /// A reference to a live buffer was added.
    Retain = 3,
    /// Another object looks into a live buffer.
    View = 4,
    /// A handle's owner asks for a deallocate, which the runtime may carry out, decline or swallow.
    Attempt = 5,
    /// A device was opened.
    DeviceOpen = 6,
    /// A device released everything at once.
    DeviceReset = 7,
    /// A device was closed.
    DeviceClose = 8,
    /// A library may be unloaded: no event, but what is remembered of its functions is no longer right.
    LibraryClose = 9,
    /// A reference to a buffer is given back; the last one frees it.
    Release = 11,
    /// A buffer is given back and another one, or the same, is handed out.
    Realloc = 12,
    /// A function hands out pointers to functions by name.
    Resolver = 13,
    /// The dynamic linker is asked for a symbol: a resolver whose first argument is a handle, the second the name.
    SymbolLookup = 14,
    /// While the call is under way, the thread's events carry its label.
    Scope = 15,
    /// The thread's user, groups or namespaces change: no event, but no thread of ours may be there meanwhile.
    Credentials = 16,
}

impl Event {
    /// Every event, with the name that adapters use.
    pub const ALL: [(&'static str, Self); 15] = [
        ("allocate", Self::Allocate),
        ("deallocate", Self::Deallocate),
        ("retain", Self::Retain),
        ("view", Self::View),
        ("attempt", Self::Attempt),
        ("device_open", Self::DeviceOpen),
        ("device_reset", Self::DeviceReset),
        ("device_close", Self::DeviceClose),
        ("library_close", Self::LibraryClose),
        ("release", Self::Release),
        ("realloc", Self::Realloc),
        ("resolver", Self::Resolver),
        ("symbol_lookup", Self::SymbolLookup),
        ("scope", Self::Scope),
        ("credentials", Self::Credentials),
    ];

    /// The event with this number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL
            .iter()
            .map(|(_, event)| *event)
            .find(|event| *event as u32 == number)
    }
}

/// Bits of [`Hook::flags`] and [`Adapter::flags`].
pub mod flags {
    /// A hook: its stubs go to the thunk that calls the real function.
    pub const CALL_THROUGH: u32 = 1;
    /// A hook: the call can be kept from the real function; it then returns `guard_value`.
    pub const CAN_GUARD: u32 = 2;
    /// An adapter: an owner's number is never used again for another object.
    pub const UNIQUE_OWNERS: u32 = 4;
    /// A hook: what it means is known only when the real function has returned.
    pub const REPORT_AFTER: u32 = 8;
    /// A hook: its symbols are not exported; only resolvers lead to their stubs.
    pub const NOT_EXPORTED: u32 = 1 << 8;
    /// A hook: its functions take or return vectors of more than 16 bytes.
    pub const WIDE: u32 = 1 << 9;
}

macro_rules! record {
    ($(#[$about:meta])* $name:ident { $($(#[$field_about:meta])* $field:ident),+ $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$field_about])* pub $field: u32),+ }

        impl $name {
            /// How many words a record has.
            pub const WORDS: usize = [$(stringify!($field)),+].len();

            pub(crate) fn words(&self) -> Vec<u32> {
                vec![$(self.$field),+]
            }

            #[inline]
            pub(crate) fn from_words(word: impl Fn(usize) -> u32) -> Self {
                let mut index = 0..;
                let mut next = || index.next().map_or(0, &word);
                Self { $($field: next()),+ }
            }
        }
    };
}

record! {
    /// One adapter.
    Adapter {
        /// Text: its name.
        name,
        /// Text: patterns of the names of the libraries that define its functions, separated by `|`.
        library,
        /// See [`flags`].
        flags,
        /// First of its kinds' names in `lists`; a kind's number is its place there.
        kinds_first,
        /// How many.
        kinds_count,
        /// First of its devices' parts in `parts`.
        parts_first,
        /// How many.
        parts_count,
    }
}

record! {
    /// One hook; all but the first six fields, and those called texts, are offsets of expressions in `code`.
    Hook {
        /// Its adapter's place.
        adapter,
        /// The number of an [`Event`].
        event,
        /// See [`flags`].
        flags,
        /// How many words of stack arguments the calling thunk hands on.
        stack_words,
        /// Returned when the real function is not called, lower half.
        guard_low,
        /// Upper half.
        guard_high,
        /// Whether the call is an event at all.
        when,
        /// After the call: whether it did what it should.
        ok,
        /// Who holds the buffer.
        owner,
        /// Where it is.
        address,
        /// How large it is.
        size,
        /// What it is called.
        kind,
        /// The handle through which an attempt is made.
        handle,
        /// Whether that handle holds its buffer still.
        live,
        /// The owner of the buffer that a view looks into.
        parent,
        /// What a reset or close releases at once: all devices that were seen with this value.
        group,
        /// The name that a resolver is asked for: the address of a C string.
        name,
        /// Where a resolver writes the pointer; 0 when it returns it.
        out,
        /// The parts of the device, 0 where there are fewer.
        device_0,
        /// See `device_0`.
        device_1,
        /// See `device_0`.
        device_2,
        /// See `device_0`.
        device_3,
        /// The buffer that a realloc gives back.
        from,
        /// Text: calls of one layer that are nested in each other, and about the same buffer, are one event.
        layer,
        /// Text: the label of a scope, when there is no `label_at`.
        label,
        /// Where the label of a scope lies, a C string.
        label_at,
        /// Text: beginnings of build ids, in hexadecimal digits, separated by `|`; calls of functions that libraries with
        /// other ones define are no events. Empty: all are.
        build_id,
    }
}

impl Hook {
    /// The thunk that its stubs go to, by its place among [`THUNKS`](crate::THUNKS).
    #[must_use]
    pub const fn thunk(&self) -> usize {
        let calls = (self.flags & flags::CALL_THROUGH != 0) as usize;
        let wide = (self.flags & flags::WIDE != 0) as usize;
        calls + 2 * wide
    }

    /// The expressions of the parts of the device.
    #[must_use]
    pub const fn device(&self) -> [u32; MAX_DEVICE_PARTS] {
        [self.device_0, self.device_1, self.device_2, self.device_3]
    }

    /// What the caller gets when the real function is not called.
    #[must_use]
    pub fn guard_value(&self) -> u64 {
        u64::from(self.guard_low) | u64::from(self.guard_high) << 32
    }
}

record! {
    /// One hooked symbol.
    Stub {
        /// Text: the symbol, as the linker knows it.
        symbol,
        /// Its hook's place.
        hook,
    }
}

record! {
    /// How one part of a device is named.
    Part {
        /// First of its values' names in `lists`; the place is the value. A value without a name is written as a number.
        names_first,
        /// How many.
        names_count,
    }
}
