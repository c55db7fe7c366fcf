//! What has been resolved so far: stacks, addresses and files, each looked at once.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use whofreed_trace::Coverage;
use whofreed_trace::Frame;
use whofreed_trace::Language;
use whofreed_trace::Module;
use whofreed_trace::NativeFrame;
use whofreed_trace::PythonFrame;
use whofreed_trace::StackId;
use whofreed_trace::Trace;

use crate::binary::Binary;
use crate::call_sites::Callee;
use crate::demangle::capped;
use crate::demangle::readable;
use crate::kept::Store;
use crate::mixed;
use crate::mixed::PythonLine;
use crate::tail_calls;
use crate::tail_calls::Left;
use crate::tail_calls::Target;

/// What has been resolved so far.
#[derive(Default)]
pub(crate) struct Found<'store> {
    pub(crate) store: Option<&'store dyn Store>,
    pub(crate) stacks: HashMap<(usize, StackId), Arc<[Frame]>>,
    /// By trace and by place in its list of modules.
    modules: HashMap<(usize, u32), Arc<Known>>,
    /// The same files in several traces, or loaded several times in one.
    pub(crate) files: HashMap<(String, Vec<u8>), Arc<Known>>,
    /// Frames of an address, by the number of the file.
    addresses: HashMap<(usize, u64), Arc<[Frame]>>,
    /// Frames of the functions that left by tail calls below a return address, see [`Found::left_between`].
    tail_calls: HashMap<TailCallsKey, TailCalled>,
    /// Names of source files and modules, each once.
    texts: HashSet<Arc<str>>,
    pub(crate) notes: Vec<String>,
}

/// Which functions left by tail calls is told by the trace, the file and return address of the caller, and the file and
/// return address of the next frame inwards; where that is one of ours, there is none.
type TailCallsKey = (usize, (usize, u64), Option<(usize, u64)>);

/// The frames of functions that left by tail calls, innermost first; each with what was inlined into it.
type TailCalled = Arc<[Arc<[Frame]>]>;

/// A module whose files have been looked for.
pub(crate) struct Known {
    pub(crate) number: usize,
    path: Arc<str>,
    pub(crate) binary: Binary,
}

impl Found<'_> {
    /// The frames of a stack.
    pub(crate) fn resolve<E>(
        &mut self,
        number: usize,
        trace: &Trace<E>,
        stack: StackId,
    ) -> Arc<[Frame]> {
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
        self.notes.append(&mut known.binary.take_notes());
        let physical = lines.len().saturating_sub(1);
        let frames: Arc<[Frame]> = lines
            .into_iter()
            .enumerate()
            .map(|(index, line)| Frame {
                function: line.function.map(|name| name.to_string()),
                module: Arc::clone(&known.path),
                offset,
                file: line.file,
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
        let nothing = || Arc::from([]);
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
            return Arc::clone(left);
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
        self.tail_calls.insert(key, Arc::clone(&left));
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
        let place = by.binary.declared_at(callee);
        let (file, line) = place.map_or((None, 0), |(file, line)| (Some(file), line));
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
    ) -> Option<Arc<Known>> {
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
    ) -> Arc<Known> {
        let known = self.looked_into(number, index, module, started_at_ns);
        self.notes.append(&mut known.binary.take_notes());
        known
    }

    /// The files of a module that no frame need be in: nothing is noted.
    fn looked_into(
        &mut self,
        number: usize,
        index: u32,
        module: &Module,
        started_at_ns: u64,
    ) -> Arc<Known> {
        if let Some(known) = self.modules.get(&(number, index)) {
            return Arc::clone(known);
        }
        let key = key_of(module);
        let known = match self.files.get(&key) {
            Some(known) => Arc::clone(known),
            None => self.add(module, Binary::open(module, started_at_ns, self.store)),
        };
        self.modules.insert((number, index), Arc::clone(&known));
        known
    }

    /// Takes in a module that was not looked for before.
    pub(crate) fn add(&mut self, module: &Module, binary: Binary) -> Arc<Known> {
        let known = Arc::new(Known {
            number: self.files.len(),
            path: self.text(&module.path),
            binary,
        });
        self.files.insert(key_of(module), Arc::clone(&known));
        known
    }

    /// Hands the store what it did not have.
    pub(crate) fn keep(&self) {
        for known in self.files.values() {
            if let Some(store) = self.store {
                known.binary.keep(store);
            }
        }
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

/// What makes modules of several traces the same one.
pub(crate) fn key_of(module: &Module) -> (String, Vec<u8>) {
    (module.path.clone(), module.build_id.clone())
}

/// Whether the frame is the recorder's own: its library, or the one with the hooks.
pub(crate) fn is_ours<E>(trace: &Trace<E>, frame: &NativeFrame) -> bool {
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
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
