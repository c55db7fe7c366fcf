//! The naming stop of an event's way: raw frames of a trace become functions, files and lines.
//!
//! Nothing is resolved inside the host, so this happens later, from the files on disk, and only for the stacks
//! that somebody asks for. A file that is no longer the one that was recorded gives no names: an address is
//! better than a wrong name. Everything that is read here may have been written by anybody.
//!
//! [`Resolver`] keeps what it has found: each stack, each address of a module and each file is looked at once.

mod abridged;
mod binary;
mod call_sites;
mod debug_files;
mod demangle;
mod mixed;
mod symbol_table;
mod tail_calls;

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::HashSet;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use whofreed_trace::Coverage;
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
use crate::call_sites::Callee;
pub use crate::call_sites::inlined;
use crate::demangle::capped;
use crate::demangle::readable;
use crate::mixed::PythonLine;
use crate::tail_calls::Left;
use crate::tail_calls::Target;

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
    /// Frames of the functions that left by tail calls below a return address, see [`Found::left_between`].
    tail_calls: HashMap<TailCallsKey, TailCalled>,
    /// Names of source files and modules, each once.
    texts: HashSet<Arc<str>>,
    notes: Vec<String>,
}

/// Which functions left by tail calls is told by the trace, the file and return address of the caller, and the file and
/// return address of the next frame inwards; where that is one of ours, there is none.
type TailCallsKey = (usize, (usize, u64), Option<(usize, u64)>);

/// The frames of functions that left by tail calls, innermost first; each with what was inlined into it.
type TailCalled = Rc<[Arc<[Frame]>]>;

/// A module whose files have been looked for.
struct Known {
    number: usize,
    path: Arc<str>,
    binary: Binary,
    /// What a reader should know of it, until a frame of it is asked for.
    notes: RefCell<Vec<String>>,
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
        let mut native: Vec<Arc<[Frame]>> = Vec::new();
        let mut inner = None;
        for frame in stack.native.iter().skip_while(|f| is_ours(trace, f)) {
            let left = self.left_between(number, trace, inner, *frame);
            native.extend(left.iter().cloned());
            native.push(self.native(number, trace, *frame));
            inner = Some(*frame);
        }
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
        let Some(known) = self.module_of(number, trace, frame) else {
            return Arc::from([Frame {
                function: None,
                module: self.text(""),
                offset,
                file: None,
                line: 0,
                inlined: false,
                tail_called: false,
                language: Language::Native,
            }]);
        };
        self.located(&known, offset)
    }

    /// The functions at an offset of a file: the inlined ones, and last the one they were inlined into.
    fn located(&mut self, known: &Known, offset: u64) -> Arc<[Frame]> {
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
                tail_called: false,
                language: Language::Native,
            })
            .collect();
        self.addresses
            .insert((known.number, offset), Arc::clone(&frames));
        frames
    }

    /// The functions that were called at `outer`, but left by tail calls before `inner` was called; without an
    /// `inner`, before one of our functions was.
    fn left_between<E>(
        &mut self,
        number: usize,
        trace: &Trace<E>,
        inner: Option<NativeFrame>,
        outer: NativeFrame,
    ) -> TailCalled {
        let nothing = || Rc::from([]);
        let Some(caller) = self.module_of(number, trace, outer) else {
            return nothing();
        };
        let callee = match inner.map(|inner| (inner, self.module_of(number, trace, inner))) {
            Some((inner, Some(known))) => Some((known, inner.offset)),
            // What belongs to no file may be anything.
            Some((_, None)) => return nothing(),
            None => None,
        };
        let key = (
            number,
            (caller.number, outer.offset),
            callee
                .as_ref()
                .map(|(known, offset)| (known.number, *offset)),
        );
        if let Some(left) = self.tail_calls.get(&key) {
            return Rc::clone(left);
        }
        let is_hooked = |name: &str| is_hook(trace, name);
        let target = match &callee {
            Some((known, offset)) => Target::At(known, offset.saturating_sub(1)),
            None => Target::Named(&is_hooked),
        };
        let started = trace.process.started_at_ns;
        let mut others = || {
            let modules = (0_u32..).zip(&trace.modules);
            modules
                .filter(|(_, module)| !is_our_file(&module.path))
                .map(|(index, module)| self.looked_into(number, index, module, started))
                .collect()
        };
        let left = tail_calls::left(&caller, outer.offset, &target, &mut others);
        let left: TailCalled = left.iter().map(|left| self.tail_called(left)).collect();
        self.tail_calls.insert(key, Rc::clone(&left));
        left
    }

    /// The frames of a function that left: where it jumped away if that is known, else where it is declared.
    fn tail_called(&mut self, left: &Left) -> Arc<[Frame]> {
        let (file, jumps, entry, line) = match left {
            Left::Code {
                file,
                jumps,
                entry,
                line,
            } => (file, jumps, *entry, *line),
            Left::Declared { by, callee } => return self.declared(by, callee),
        };
        let places: Vec<Arc<[Frame]>> =
            jumps.iter().map(|jump| self.located(file, *jump)).collect();
        let at = |frames: &Arc<[Frame]>| -> Vec<_> {
            let place = |frame: &Frame| (frame.function.clone(), frame.file.clone(), frame.line);
            frames.iter().map(place).collect()
        };
        let mut frames: Vec<Frame> = match places.split_first() {
            Some((first, rest)) if rest.iter().all(|other| at(other) == at(first)) => {
                first.to_vec()
            }
            _ => {
                let begin = self.located(file, entry);
                let mut physical: Vec<Frame> = begin.last().cloned().into_iter().collect();
                for frame in &mut physical {
                    if line != 0 {
                        frame.line = line;
                    }
                }
                physical
            }
        };
        for frame in &mut frames {
            frame.tail_called = true;
        }
        Arc::from(frames)
    }

    /// The frame of a function of which nothing but a declaration is known.
    fn declared(&mut self, by: &Known, callee: &Callee) -> Arc<[Frame]> {
        let sites = by.binary.call_sites();
        let place = sites.and_then(|sites| sites.declared_at(callee));
        let (file, line) = place.map_or((None, 0), |(file, line)| (Some(self.text(&file)), line));
        Arc::from([Frame {
            function: callee.symbol.as_deref().map(readable),
            module: self.text(""),
            offset: 0,
            file,
            line,
            inlined: false,
            tail_called: true,
            language: Language::Native,
        }])
    }

    fn module_of<E>(
        &mut self,
        number: usize,
        trace: &Trace<E>,
        frame: NativeFrame,
    ) -> Option<Rc<Known>> {
        let index = frame.module?;
        let module = trace.modules.get(usize::try_from(index).ok()?)?;
        Some(self.module(number, index, module, trace.process.started_at_ns))
    }

    /// The files of a module that a frame is in.
    fn module(
        &mut self,
        number: usize,
        index: u32,
        module: &Module,
        started_at_ns: u64,
    ) -> Rc<Known> {
        let known = self.looked_into(number, index, module, started_at_ns);
        self.notes.append(&mut known.notes.borrow_mut());
        known
    }

    /// The files of a module that no frame need be in: nothing is noted.
    fn looked_into(
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
                let mut notes = Vec::new();
                let known = Rc::new(Known {
                    number: self.files.len(),
                    path: self.text(&module.path),
                    binary: Binary::open(module, started_at_ns, &mut notes),
                    notes: RefCell::new(notes),
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
    module.is_some_and(|module| is_our_file(&module.path))
}

fn is_our_file(path: &str) -> bool {
    let name = file_name(path);
    name.starts_with("libwhofreed.so")
        || (name.starts_with("whofreed-hooks") && name.ends_with(".so"))
}

/// Whether a call of `symbol` is an event: one of our own functions, or one that is hooked.
fn is_hook<E>(trace: &Trace<E>, symbol: &str) -> bool {
    symbol.starts_with("wf_")
        || trace.coverage.iter().any(|coverage| match coverage {
            Coverage::Bound { symbol: bound, .. } => bound == symbol,
            Coverage::Unobservable { .. } => false,
        })
}

/// The last part of a path.
fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
