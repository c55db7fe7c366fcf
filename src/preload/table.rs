//! The table of the generated library, as it lies in the host's memory.

use std::slice;

use whofreed_hooktable::Adapter;
use whofreed_hooktable::HEADER_LEN;
use whofreed_hooktable::Hook;
use whofreed_hooktable::Stub;
use whofreed_hooktable::Table;

use super::machine;
use super::resolver;

/// The table, when the launcher has preloaded one.
pub(super) fn table() -> Option<Table<'static>> {
    let start = machine::table_address();
    if start == 0 {
        return None;
    }
    let start = std::ptr::with_exposed_provenance::<u8>(start);
    // SAFETY: a symbol of this name is the table of the generated library (names that begin with wf_ are ours),
    // which the launcher has checked, and which is never unloaded (DF_1_NODELETE); a table has a header.
    let header = unsafe { slice::from_raw_parts(start, HEADER_LEN) };
    let length = Table::length_in(header.first_chunk()?)?;
    // SAFETY: as above; the table is as long as it says.
    Table::new(unsafe { slice::from_raw_parts(start, length) })
}

/// One symbol of a table and what belongs to it, as the stub that was called says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hooked {
    pub(super) table: Table<'static>,
    pub(super) adapter_place: u32,
    pub(super) adapter: Adapter,
    pub(super) hook: Hook,
    pub(super) stub: Stub,
    /// The number of the symbol's own stub.
    pub(super) number: usize,
    /// The real function, where the stub is a spare one and stands for that one alone.
    pub(super) bound: Option<usize>,
}

impl Hooked {
    /// What the stub with this number stands for.
    pub(super) fn find(number: usize) -> Option<Self> {
        let table = table()?;
        let (number, bound) = match number.checked_sub(table.stub_count()) {
            None => (number, None),
            Some(spare) => {
                let (number, original) = resolver::spare(spare)?;
                (number, Some(original))
            }
        };
        let stub = table.stub(number)?;
        let hook = table.hook(stub.hook as usize)?;
        let adapter = table.adapter(hook.adapter as usize)?;
        Some(Self {
            table,
            adapter_place: hook.adapter,
            adapter,
            hook,
            stub,
            number,
            bound,
        })
    }

    pub(super) fn symbol(&self) -> &'static [u8] {
        self.table.text(self.stub.symbol)
    }

    /// The patterns of the libraries that the adapter is for.
    pub(super) fn library(&self) -> &'static [u8] {
        self.table.text(self.adapter.library)
    }

    pub(super) fn has(&self, flag: u32) -> bool {
        self.hook.flags & flag != 0
    }
}
