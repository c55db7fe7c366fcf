//! What happens at an excess free besides recording it: the host's callback, and what the user asked for.

use std::ffi::c_void;
use std::ptr;
use std::sync::atomic::AtomicPtr;
use std::sync::atomic::Ordering;

use whofreed_lifecycle::Verdict;
use whofreed_trace::layout::EventRecord;

use super::listener;
use crate::abi::WfExcess;
use crate::abi::WfExcessCallback;
use crate::abi::WfVerdict;
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

/// Where debuggers stop: `wf_excess_break` of `libwhofreed.so`, which tells it here.
pub type Stop = extern "C" fn(
    excess: *const WfExcess,
    address: u64,
    owner: u64,
    device: u32,
    verdict: WfVerdict,
);

/// Null in a Rust host, which has no such symbol.
static STOP: AtomicPtr<()> = AtomicPtr::new(ptr::null_mut());

/// Sets the function that is called at each excess free for the sake of debuggers.
pub fn set_stop(stop: Stop) {
    STOP.store(stop as *mut (), Ordering::Release);
}

fn stop() -> Option<Stop> {
    let stop = STOP.load(Ordering::Acquire);
    // SAFETY: what is not null was made of such a function.
    (!stop.is_null()).then(|| unsafe { std::mem::transmute::<*mut (), Stop>(stop) })
}

/// What happens at an excess free besides recording it, and what the user asked for.
pub(super) fn react(
    inside: &mut Inside,
    world: &'static World,
    record: &EventRecord,
    on_excess: OnExcess,
) {
    let thread = inside.state().thread_id;
    let callback = listener::current();
    let stop = stop();
    if callback.is_some() || stop.is_some() {
        // The buffer stays as it is meanwhile: calls of the library inside it are no events.
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
        if let Some((callback, user)) = callback {
            // SAFETY: the host has promised a function that may be called with an event and its `user`.
            inside.silently(|| unsafe { callback(&raw const event, user) });
        }
        if let Some(stop) = stop {
            // What somebody has a debugger call here is no event either.
            inside.silently(|| {
                let WfExcess {
                    address,
                    owner,
                    device,
                    verdict,
                    ..
                } = event;
                stop(&raw const event, address, owner, device, verdict);
            });
        }
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
