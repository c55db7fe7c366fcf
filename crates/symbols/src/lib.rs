//! The naming stop of an event's way: raw frames of a trace become functions, files and lines.
//!
//! Nothing is resolved inside the host, so this happens later, from the files on disk, and only for the stacks
//! that somebody asks for. A file that is no longer the one that was recorded gives no names: an address is
//! better than a wrong name. Everything that is read here may have been written by anybody.
//!
//! [`Resolver`] keeps what it has found: each stack, each address of a module and each file is looked at once.

mod abridged;
mod binary;
mod debug_files;
mod demangle;
mod mixed;
mod symbol_table;

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use whofreed_trace::Event;
use whofreed_trace::Frame;
use whofreed_trace::Language;
use whofreed_trace::Module;
use whofreed_trace::NativeFrame;
use whofreed_trace::PythonFrame;
use whofreed_trace::StackId;
use whofreed_trace::StackNames;
use whofreed_trace::Trace;

use crate::binary::Binary;
use crate::demangle::capped;
use crate::mixed::PythonLine;

/// Resolves the stacks of several traces, each stack at most once.
pub struct Resolver<'traces, E = Vec<Event>> {
    traces: &'traces [Trace<E>],
    found: RefCell<Found>,
}

/// What has been resolved so far.
#[derive(Default)]
struct Found {
    stacks: HashMap<(usize, StackId), Arc<[Frame]>>,
    /// By trace and by place in its list of modules.
    modules: HashMap<(usize, u32), Rc<Known>>,
    /// The same files in several traces, or loaded several times in one.
    files: HashMap<(String, Vec<u8>), Rc<Known>>,
    /// Frames of an address, by the number of the file.
    addresses: HashMap<(usize, u64), Arc<[Frame]>>,
    /// Names of source files and modules, each once.
    texts: HashSet<Arc<str>>,
    notes: Vec<String>,
}

/// A module whose files have been looked for.
struct Known {
    number: usize,
    path: Arc<str>,
    binary: Binary,
}

impl<E> fmt::Debug for Resolver<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.found.borrow();
        f.debug_struct("Resolver")
            .field("traces", &self.traces.len())
            .field("stacks", &found.stacks.len())
            .field("files", &found.files.len())
            .field("notes", &found.notes)
            .finish_non_exhaustive()
    }
}

impl<'traces, E> Resolver<'traces, E> {
    /// Prepares to resolve stacks of `traces`. Nothing is read before the first stack is asked for.
    #[must_use]
    pub fn new(traces: &'traces [Trace<E>]) -> Self {
        Self {
            traces,
            found: RefCell::default(),
        }
    }

    /// What a reader of the names should know, such as modules that changed since the recording; about the
    /// stacks that were asked for so far.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.found.borrow().notes.clone()
    }
}

impl<E> StackNames for Resolver<'_, E> {
    fn frames(&self, trace: usize, stack: StackId) -> Arc<[Frame]> {
        let mut found = self.found.borrow_mut();
        if let Some(frames) = found.stacks.get(&(trace, stack)) {
            return Arc::clone(frames);
        }
        let frames = self
            .traces
            .get(trace)
            .map(|recorded| found.resolve(trace, recorded, stack))
            .unwrap_or_default();
        found.stacks.insert((trace, stack), Arc::clone(&frames));
        frames
    }
}

impl Found {
    fn resolve<E>(&mut self, number: usize, trace: &Trace<E>, stack: StackId) -> Arc<[Frame]> {
        let Some(stack) = usize::try_from(stack.0)
            .ok()
            .and_then(|index| trace.stacks.get(index))
        else {
            return Arc::default();
        };
        let native: Vec<_> = stack
            .native
            .iter()
            .skip_while(|frame| is_ours(trace, frame))
            .map(|frame| self.native(number, trace, *frame))
            .collect();
        let nowhere = self.text("");
        let python = stack
            .python
            .iter()
            .map(|frame| self.python(trace, frame, &nowhere))
            .collect();
        Arc::from(mixed::mix(&native, python))
    }

    /// The frames of one return address: at least one.
    fn native<E>(&mut self, number: usize, trace: &Trace<E>, frame: NativeFrame) -> Arc<[Frame]> {
        // The recorded address is the one behind the call, which may already belong to the next line.
        let offset = frame.offset.saturating_sub(1);
        let known = frame
            .module
            .and_then(|index| Some((index, trace.modules.get(usize::try_from(index).ok()?)?)))
            .map(|(index, module)| self.module(number, index, module, trace.process.started_at_ns));
        let Some(known) = known else {
            return Arc::from([Frame {
                function: None,
                module: self.text(""),
                offset,
                file: None,
                line: 0,
                inlined: false,
                language: Language::Native,
            }]);
        };
        if let Some(frames) = self.addresses.get(&(known.number, offset)) {
            return Arc::clone(frames);
        }
        let lines = known.binary.lines(offset);
        let physical = lines.len().saturating_sub(1);
        let frames: Arc<[Frame]> = lines
            .into_iter()
            .enumerate()
            .map(|(index, line)| Frame {
                function: line.function,
                module: Arc::clone(&known.path),
                offset,
                file: line.file.map(|file| self.text(&file)),
                line: line.line,
                inlined: index != physical,
                language: Language::Native,
            })
            .collect();
        self.addresses
            .insert((known.number, offset), Arc::clone(&frames));
        frames
    }

    fn module(
        &mut self,
        number: usize,
        index: u32,
        module: &Module,
        started_at_ns: u64,
    ) -> Rc<Known> {
        if let Some(known) = self.modules.get(&(number, index)) {
            return Rc::clone(known);
        }
        let key = (module.path.clone(), module.build_id.clone());
        let known = match self.files.get(&key) {
            Some(known) => Rc::clone(known),
            None => {
                let known = Rc::new(Known {
                    number: self.files.len(),
                    path: self.text(&module.path),
                    binary: Binary::open(module, started_at_ns, &mut self.notes),
                });
                self.files.insert(key, Rc::clone(&known));
                known
            }
        };
        self.modules.insert((number, index), Rc::clone(&known));
        known
    }

    /// A frame whose function is not in the trace still has its place: it may be the last of its loop.
    fn python<E>(
        &mut self,
        trace: &Trace<E>,
        frame: &PythonFrame,
        nowhere: &Arc<str>,
    ) -> PythonLine {
        let code = usize::try_from(frame.code)
            .ok()
            .and_then(|index| trace.codes.get(index));
        let (function, file) = code.map_or(("", ""), |code| (&*code.function, &*code.file));
        let file = self.text(capped(file));
        PythonLine {
            frame: mixed::python_frame(capped(function), file, frame.line, nowhere),
            is_entry: frame.is_entry,
        }
    }

    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = Arc::from(text);
        self.texts.insert(Arc::clone(&new));
        new
    }
}

/// Whether the frame is the recorder's own: its library, or the one with the hooks.
fn is_ours<E>(trace: &Trace<E>, frame: &NativeFrame) -> bool {
    let module = frame
        .module
        .and_then(|index| trace.modules.get(usize::try_from(index).ok()?));
    let Some(module) = module else {
        return false;
    };
    let name = file_name(&module.path);
    name.starts_with("libwhofreed.so")
        || (name.starts_with("whofreed-hooks") && name.ends_with(".so"))
}

/// The last part of a path.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
