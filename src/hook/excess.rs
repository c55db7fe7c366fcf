//! What happens at an excess free besides recording it: the host's callback, and what the user asked for.

use std::ffi::c_void;
use std::ptr;

use whofreed_lifecycle::Verdict;
use whofreed_trace::layout::EventRecord;

use super::listener;
use crate::abi::WfExcess;
use crate::abi::WfExcessCallback;
use crate::options::OnExcess;
use crate::process::World;
use crate::record::dump::ExcessNote;
use crate::record::writer::Message;
use crate::sys;
use crate::thread::Inside;

// The callback is handed the thread's own frames as they are.
const _: () = assert!(size_of::<usize>() == size_of::<u64>());

/// Sets who is told of excess frees, on the freeing thread.
pub fn on_excess(callback: WfExcessCallback, user: *mut c_void) {
    if !listener::set(callback, user) {
        sys::complain(
            "wf_on_excess was given too many different callbacks: nobody is told from now on",
        );
    }
}

/// What the user asked for at an excess free.
pub(super) fn react(
    inside: &mut Inside,
    world: &'static World,
    record: &EventRecord,
    on_excess: OnExcess,
) {
    let thread = inside.state().thread_id;
    if let Some((callback, user)) = listener::current() {
        // The buffer stays as it is during the callback: calls of the library inside it are no events.
        let captured = inside.state().stack.frames();
        let (frames, frame_count) = (captured.as_ptr(), captured.len());
        let event = WfExcess {
            size: size_of::<WfExcess>() as u32,
            verdict: Verdict::from_number(record.verdict)
                .unwrap_or(Verdict::Invalid)
                .into(),
            device: record.device,
            kind: record.label,
            address: record.address,
            owner: record.owner,
            thread: u64::from(thread),
            sequence: record.step,
            frames: if frame_count == 0 {
                ptr::null()
            } else {
                frames.cast()
            },
            frame_count: frame_count as u64,
            reserved: [0; 8],
        };
        // SAFETY: the host has promised a function that may be called with an event and its `user`.
        inside.silently(|| unsafe { callback(&raw const event, user) });
    }
    match on_excess {
        OnExcess::Record => {}
        OnExcess::Print => {
            let note = ExcessNote {
                verdict: Verdict::from_number(record.verdict).unwrap_or(Verdict::Invalid),
                device: record.device,
                address: record.address,
                owner: record.owner,
                thread,
                stack: record.stack,
            };
            world.recorder.mail.send(Message::Print(note));
        }
        // SAFETY: raising a signal and ending the process are what the user asked for.
        OnExcess::Trap => drop(unsafe { libc::raise(libc::SIGTRAP) }),
        // SAFETY: as above.
        OnExcess::Abort => unsafe { libc::abort() },
    }
}
