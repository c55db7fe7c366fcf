//! Frames that name nobody: the layers between the code that frees and the hooked allocator, as data.
//!
//! A pattern may hold `*`. Function patterns are compared with the bare name: without return type, parameters
//! and template arguments.

use whofreed_trace::Frame;
use whofreed_trace::Language;

/// What of a frame a pattern is compared with.
#[derive(Clone, Copy)]
enum Part {
    /// The bare name of a native function.
    Native,
    /// The file name of the module of a native frame.
    Module,
    /// The qualified name of a Python function.
    PythonFunction,
    /// The path of a Python file.
    PythonFile,
}

use Part::Module;
use Part::Native;
use Part::PythonFile;
use Part::PythonFunction;

/// One table for everything; grouped by what the frames are.
const RULES: &[(Part, &str)] = &[
    // The library itself, and the wrappers of its header.
    (Native, "wf_*"),
    (Native, "whofreed::*"),
    (Native, "wf::*"),
    (Native, "whofreed_*"),
    (Module, "libwhofreed.so*"),
    // Allocators of the host.
    (Native, "operator new*"),
    (Native, "operator delete*"),
    (Native, "malloc"),
    (Native, "calloc"),
    (Native, "realloc"),
    (Native, "free"),
    (Native, "cfree"),
    (Native, "__libc_*"),
    (Native, "__gnu_cxx::*"),
    // Smart pointers, containers and callables of the standard libraries.
    (Native, "std::*"),
    (Native, "boost::shared_ptr*"),
    (Native, "boost::intrusive_ptr*"),
    (Native, "boost::detail::sp_counted*"),
    (Native, "boost::container::*"),
    (Native, "absl::*"),
    (Native, "tsl::robin_*"),
    (Native, "ankerl::*"),
    (Native, "core::*"),
    (Native, "alloc::*"),
    (Native, "__rust_*"),
    (Native, "hashbrown::*"),
    (Native, "crossbeam*"),
    // How a thread, a program or a library starts and ends.
    (Native, "_start"),
    (Native, "__libc_start*"),
    (Native, "start_thread"),
    (Native, "clone"),
    (Native, "clone3"),
    (Native, "__clone*"),
    (Native, "exit"),
    (Native, "__run_exit_handlers"),
    (Native, "__cxa_finalize*"),
    (Native, "__do_global_dtors_aux"),
    (Native, "_dl_*"),
    (Module, "libc.so*"),
    (Module, "libc-*"),
    (Module, "ld-linux*"),
    (Module, "libpthread*"),
    (Module, "libstdc++*"),
    (Module, "libc++*"),
    (Module, "libgcc_s*"),
    // Interpreter glue.
    (Module, "libpython*"),
    (Module, "python3*"),
    (Module, "python"),
    (Module, "libffi*"),
    (Native, "Py_*"),
    (Native, "_Py*"),
    (Native, "PyObject_*"),
    (Native, "PyVectorcall_*"),
    (Native, "PyEval_*"),
    (Native, "PyGC_*"),
    (Native, "nanobind::*"),
    (Native, "nb_func_*"),
    (Native, "nb_method_*"),
    (Native, "inst_dealloc"),
    (Native, "subtype_dealloc"),
    (Native, "pybind11::*"),
    (Native, "pybind11_*"),
    (Native, "_object*"),
    (PythonFile, "<frozen *"),
    (PythonFile, "*/importlib/*"),
    (PythonFile, "*/contextlib.py"),
    (PythonFile, "*/functools.py"),
    // ttnn: every operation goes through its decorators.
    (PythonFile, "*/ttnn/decorators.py"),
    (PythonFile, "ttnn/decorators.py"),
    (PythonFunction, "FastOperation.__call__"),
    (PythonFunction, "Operation.__call__"),
    (Native, "ttnn::decorators::*"),
    (Native, "ttnn::device_operation::*"),
    // tt-metal: one deallocation, from the tensor down to the bank.
    (Native, "ttnn::Tensor::deallocate*"),
    (Native, "ttnn::Tensor::~Tensor"),
    (Native, "ttnn::Tensor::operator="),
    (Native, "tt::tt_metal::Tensor::deallocate*"),
    (Native, "tt::tt_metal::Tensor::~Tensor"),
    (Native, "tt::tt_metal::Tensor::operator="),
    (Native, "ttnn::operations::core::deallocate"),
    (Native, "*::DeviceStorage::*"),
    (Native, "*MeshTensorHolder*"),
    (Native, "*::MeshTensor::*"),
    (Native, "*::MeshTensorImpl::*"),
    (Native, "*::TensorAttributes::*"),
    (Native, "tt::tt_metal::distributed::MeshBuffer::*"),
    (Native, "tt::tt_metal::Buffer::*"),
    (Native, "tt::tt_metal::BufferImpl::*"),
    (Native, "tt::tt_metal::CreateBuffer"),
    (Native, "tt::tt_metal::DeallocateBuffer"),
    (Native, "tt::tt_metal::GraphTracker::*"),
    (Native, "tt::tt_metal::Allocator::*"),
    (Native, "tt::tt_metal::AllocatorImpl::*"),
    (Native, "tt::tt_metal::BankManager::*"),
    (Native, "tt::tt_metal::tensor_impl::*"),
    (Native, "tt::tt_metal::create_device_tensor*"),
    (Native, "tt::tt_metal::allocate_*"),
];

/// Runtimes whose operations allocate on behalf of their caller: a leak is the caller's.
const RUNTIMES: &[&str] = &[
    "libtt_metal.so*",
    "_ttnncpp.so*",
    "_ttnn.so*",
    "_ttnn.cpython-*",
];

/// Whether `frame` is code of a runtime's own library.
pub(crate) fn is_runtime(frame: &Frame) -> bool {
    let module = frame.module.rsplit('/').next().unwrap_or("");
    frame.language == Language::Native && RUNTIMES.iter().any(|pattern| matches(pattern, module))
}

/// Whether `frame` is machinery.
pub(crate) fn is_machinery(frame: &Frame) -> bool {
    let function = frame.function.as_deref().unwrap_or("");
    let native = bare_name(function);
    let module = frame.module.rsplit('/').next().unwrap_or("");
    let file = frame.file.as_deref().unwrap_or("");
    let is_python = frame.language == Language::Python;
    RULES.iter().any(|&(part, pattern)| match part {
        Native => !is_python && !native.is_empty() && matches(pattern, &native),
        Module => !is_python && matches(pattern, module),
        PythonFunction => is_python && matches(pattern, function),
        PythonFile => is_python && matches(pattern, file),
    })
}

/// The name of a demangled function without return type, parameters and template arguments.
pub(crate) fn bare_name(demangled: &str) -> String {
    let name = demangled.replace("(anonymous namespace)", "{anonymous}");
    // `<Type as Trait>::method` is a method of `Type`.
    if let Some(rest) = name.strip_prefix('<') {
        return bare_name(
            rest.split(" as ")
                .next()
                .unwrap_or(rest)
                .trim_end_matches('>'),
        );
    }
    let mut bare = String::with_capacity(name.len());
    let mut depth = 0usize;
    let mut rest = name.as_str();
    while let Some(c) = rest.chars().next() {
        if depth == 0
            && rest.starts_with("operator")
            && !bare.ends_with(|c: char| c.is_alphanumeric() || c == '_')
        {
            let end = operator_length(rest);
            // A return type stands before the qualified name, not inside of it.
            let start = bare.rfind(' ').map_or(0, |space| space + 1);
            return format!("{}{}", &bare[start..], &rest[..end]);
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '<' => depth += 1,
            '>' => depth = depth.saturating_sub(1),
            '(' if depth == 0 => break,
            _ if depth == 0 => bare.push(c),
            _ => {}
        }
    }
    let start = bare.trim_end().rfind(' ').map_or(0, |space| space + 1);
    bare[start..].trim_end().to_owned()
}

/// The length of an operator's name at the start of `text`, its parameters not counted.
fn operator_length(text: &str) -> usize {
    if text.starts_with("operator()") {
        return "operator()".len();
    }
    text.find('(').unwrap_or(text.len())
}

/// Whether `text` matches `pattern`, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(rest) = text.strip_prefix(head) else {
        return false;
    };
    tail.is_empty()
        || (0..=rest.len())
            .filter(|&skip| rest.is_char_boundary(skip))
            .any(|skip| matches(tail, &rest[skip..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_names() {
        for (demangled, bare) in [
            ("void std::_Destroy<Foo*>(Foo*, Foo*)", "std::_Destroy"),
            ("std::vector<int> mine::make<int>(int)", "mine::make"),
            ("operator delete(void*, unsigned long)", "operator delete"),
            ("main::{lambda()#1}::operator()() const", "main::{lambda"),
            ("(anonymous namespace)::evict(int)", "{anonymous}::evict"),
            (
                "<alloc::vec::Vec<T> as core::ops::Drop>::drop",
                "alloc::vec::Vec",
            ),
            (
                "ttnn::Tensor::operator=(ttnn::Tensor&&)",
                "ttnn::Tensor::operator=",
            ),
            ("plain_c", "plain_c"),
        ] {
            assert_eq!(bare_name(demangled), bare, "{demangled}");
        }
    }

    /// What Python's ctypes calls through.
    #[test]
    fn foreign_function_glue_names_nobody() {
        let frame = |module: &str| Frame {
            module: module.into(),
            function: None,
            offset: 0,
            file: None,
            line: 0,
            inlined: false,
            language: Language::Native,
        };
        assert!(is_machinery(&frame(
            "/usr/lib/x86_64-linux-gnu/libffi.so.8"
        )));
        assert!(!is_machinery(&frame("/opt/host/libmodel.so")));
    }

    #[test]
    fn patterns() {
        assert!(matches(
            "*::DeviceStorage::*",
            "ttnn::DeviceStorage::deallocate"
        ));
        assert!(matches("std::*", "std::_Sp_counted_base::_M_release"));
        assert!(!matches("std::*", "mystd::x"));
        assert!(!matches("exit", "exit_cache"));
    }
}
