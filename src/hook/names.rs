//! What belongs to no event: names, what adapters could bind, scopes.

use whofreed_trace::blob::PayloadWriter;
use whofreed_trace::blob::UNOBSERVABLE_PERHAPS;
use whofreed_trace::blob::blob_kind;

use super::MAX_NAME;
use super::entry::enter;
use super::entry::world;
use crate::process;
use crate::thread::Inside;
use crate::thread::ThreadState;

/// Names a label of buffers.
pub fn name_kind(kind: u32, name: &[u8]) {
    if let Some(mut inside) = enter() {
        name_kind_inside(&mut inside, kind, name);
    }
}

/// See [`name_kind`].
pub fn name_kind_inside(inside: &mut Inside, kind: u32, name: &[u8]) {
    tell(
        inside,
        blob_kind::KIND_NAME,
        kind,
        &name[..name.len().min(MAX_NAME)],
    );
}

/// An adapter is in force.
pub fn adapter_in_force(name: &[u8]) {
    if let Some(mut inside) = enter() {
        adapter_in_force_inside(&mut inside, name);
    }
}

/// See [`adapter_in_force`].
pub fn adapter_in_force_inside(inside: &mut Inside, name: &[u8]) {
    tell(
        inside,
        blob_kind::ADAPTER,
        0,
        &name[..name.len().min(MAX_NAME)],
    );
}

/// A hook has found its original.
pub fn coverage_bound(adapter: &[u8], symbol: &[u8], library: &[u8]) {
    if let Some(mut inside) = enter() {
        coverage_bound_inside(&mut inside, adapter, symbol, library);
    }
}

/// See [`coverage_bound`].
pub fn coverage_bound_inside(inside: &mut Inside, adapter: &[u8], symbol: &[u8], library: &[u8]) {
    tell_texts(inside, blob_kind::BOUND, 0, &[adapter, symbol, library]);
}

/// Something cannot be seen.
pub fn coverage_unobservable(symbol: &[u8], why: &[u8]) {
    if let Some(mut inside) = enter() {
        coverage_unobservable_inside(&mut inside, symbol, why, b"", true);
    }
}

/// See [`coverage_unobservable`]; in which library, empty where in none. It is not certain where it depends on whether the
/// library calls itself, which its file tells.
pub fn coverage_unobservable_inside(
    inside: &mut Inside,
    symbol: &[u8],
    why: &[u8],
    library: &[u8],
    is_certain: bool,
) {
    let flags = if is_certain { 0 } else { UNOBSERVABLE_PERHAPS };
    let texts = [symbol, why, library];
    tell_texts(inside, blob_kind::UNOBSERVABLE, flags, &texts);
}

fn tell(inside: &mut Inside, kind: u16, id: u32, payload: &[u8]) {
    if let Some(world) = process::world() {
        inside
            .state()
            .pen
            .blob(&world.recorder, kind, 0, id, payload);
    }
}

fn tell_texts(inside: &mut Inside, kind: u16, flags: u16, texts: &[&[u8]]) {
    let Some(world) = process::world() else {
        return;
    };
    let ThreadState { pen, stack, .. } = inside.state();
    let mut payload = PayloadWriter::new(&mut stack.text);
    for text in texts {
        payload.text(&text[..text.len().min(MAX_NAME)]);
    }
    if let Some(len) = payload.finish() {
        pen.blob(&world.recorder, kind, flags, 0, &stack.text[..len]);
    }
}

/// Begins a scope on this thread: its label is attached to the thread's events until [`scope_leave`]. Returns 0
/// when it could not be begun.
pub fn scope_enter(label: &[u8]) -> u64 {
    let Some(mut inside) = enter() else {
        return 0;
    };
    scope_enter_inside(&mut inside, |room| {
        let label = &label[..label.len().min(room.len())];
        room[..label.len()].copy_from_slice(label);
        label.len()
    })
}

/// See [`scope_enter`]; `write` writes the label and says how long it is.
pub fn scope_enter_inside(inside: &mut Inside, write: impl FnOnce(&mut [u8]) -> usize) -> u64 {
    let Some(world) = world() else {
        return 0;
    };
    let state = inside.state();
    let room = &mut state.stack.text[..MAX_NAME];
    let len = write(room).min(MAX_NAME);
    let label = &state.stack.text[..len];
    let id = world
        .recorder
        .labels
        .intern(&world.recorder, &mut state.pen, 0, label);
    let depth = state.scope_depth;
    if let Some(place) = state.scopes.get_mut(depth) {
        *place = id.unwrap_or(0);
    }
    state.scope_depth += 1;
    (depth as u64) + 1
}

/// Ends a scope of this thread, and those that were begun inside it.
pub fn scope_leave(scope: u64) {
    if let Some(mut inside) = enter() {
        scope_leave_inside(&mut inside, scope);
    }
}

/// See [`scope_leave`].
pub fn scope_leave_inside(inside: &mut Inside, scope: u64) {
    let state = inside.state();
    if let Some(depth) = scope
        .checked_sub(1)
        .and_then(|depth| usize::try_from(depth).ok())
    {
        state.scope_depth = state.scope_depth.min(depth);
    }
}
