//! The start of a trace: whether it is one, and whose.

use zerocopy::FromBytes;

use super::ReadError;
use super::fail;
use crate::Exit;
use crate::ForkPoint;
use crate::Trace;
use crate::layout::BYTE_ORDER_MARK;
use crate::layout::CHUNK_SIZE;
use crate::layout::EVENT_SIZE;
use crate::layout::EXIT_CODE;
use crate::layout::EXIT_SIGNAL;
use crate::layout::FLAG_FORKED;
use crate::layout::FLAG_OWNERS_ARE_POINTERS;
use crate::layout::FLAG_UNJUDGED_COUNTED;
use crate::layout::FileHeader;
use crate::layout::HEADER_SIZE;
use crate::layout::MAGIC;
use crate::layout::VERSION;

/// Reads the header of a trace.
///
/// # Errors
/// When the bytes do not begin like a trace of this version.
pub fn read_header(bytes: &[u8]) -> Result<FileHeader, ReadError> {
    if bytes.is_empty() {
        return fail(0, "the file is empty");
    }
    let magic_len = bytes.len().min(MAGIC.len());
    if bytes[..magic_len] != MAGIC[..magic_len] {
        return fail(0, "this is no whofreed trace");
    }
    let Ok((header, _)) = FileHeader::read_from_prefix(bytes) else {
        return fail(bytes.len(), "the file ends inside its header");
    };
    if header.byte_order == BYTE_ORDER_MARK.swap_bytes() {
        return fail(
            12,
            "the trace was written on a machine of the other byte order",
        );
    }
    if header.version != VERSION {
        let version = header.version;
        return fail(
            8,
            format!(
                "the trace has format version {version}, this whofreed reads version {VERSION}"
            ),
        );
    }
    let sizes = (header.header_size, header.chunk_size, header.event_size);
    let expected = (HEADER_SIZE as u32, CHUNK_SIZE as u32, EVENT_SIZE as u32);
    if sizes != expected {
        return fail(16, format!("impossible sizes {sizes:?} in the header"));
    }
    Ok(header)
}

pub(super) fn trace_of(header: &FileHeader) -> Trace<()> {
    let mut trace = Trace {
        id: header.trace_id,
        session: header.session,
        dropped_events: header.dropped_events,
        unjudged_events: if header.flags & FLAG_UNJUDGED_COUNTED != 0 {
            header.unjudged_events
        } else {
            header.dropped_events
        },
        ..Trace::default()
    };
    trace.process.pid = header.pid;
    trace.process.parent_pid = header.parent_pid;
    trace.process.started_at_ns = header.started_realtime;
    trace.process.owners_are_pointers = header.flags & FLAG_OWNERS_ARE_POINTERS != 0;
    trace.process.fork = (header.flags & FLAG_FORKED != 0).then_some(ForkPoint {
        parent_trace: header.fork_parent,
        time_ns: header.fork_time,
    });
    trace.process.exit = match header.exit_kind {
        EXIT_CODE => Some(Exit {
            code: Some(header.exit_value),
            signal: None,
        }),
        EXIT_SIGNAL => Some(Exit {
            code: None,
            signal: Some(header.exit_value),
        }),
        _ => None,
    };
    trace
}
