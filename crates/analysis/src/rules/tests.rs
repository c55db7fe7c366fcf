//! The rules that come along, rules of others, and texts that are none.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use super::*;

fn native(function: &str) -> Frame {
    Frame {
        function: Some(function.to_owned()),
        module: Arc::from("/opt/host/host"),
        offset: 16,
        file: Some(Arc::from("/src/host.cpp")),
        line: 1,
        inlined: false,
        tail_called: false,
        language: Language::Native,
    }
}

fn python(function: &str, file: &str) -> Frame {
    Frame {
        module: Arc::from(""),
        file: Some(Arc::from(file)),
        language: Language::Python,
        ..native(function)
    }
}

fn in_module(module: &str) -> Frame {
    Frame {
        function: None,
        module: Arc::from(module),
        ..native("")
    }
}

#[test]
fn all_rules_that_come_along_are_rules() {
    parse::layer(DEFAULT).unwrap();
    for (name, adapter) in ADAPTERS {
        let rules = carried(adapter);
        assert!(rules.lines().count() > 2, "{name}");
        parse::layer(&rules).unwrap();
    }
    assert_eq!(Rules::shipped().layers.len(), 1 + ADAPTERS.len());
}

#[test]
fn layers_between_a_free_and_the_allocator_are_machinery() {
    for function in [
        "wf_deallocate",
        "operator delete(void*, unsigned long)",
        "std::_Sp_counted_ptr_inplace<Buffer, std::allocator<void>, (__gnu_cxx::_Lock_policy)2>::_M_dispose()",
        "std::unique_ptr<Buffer, std::default_delete<Buffer> >::~unique_ptr()",
        "std::vector<Buffer>::~vector()",
        "std::unordered_map<int, Buffer>::erase(int const&)",
        "std::_Optional_payload<Buffer>::~_Optional_payload()",
        "std::__detail::__variant::_Variant_storage<false, Buffer>::_M_reset()",
        "exit",
        "__run_exit_handlers",
        "_Py_Dealloc",
        "PyObject_Vectorcall",
        "nanobind::detail::nb_func_vectorcall_simple",
        "pybind11::cpp_function::dispatcher",
        "ttnn::Tensor::deallocate(bool)",
        "tt::tt_metal::distributed::MeshBuffer::deallocate()",
    ] {
        assert!(
            Rules::shipped().is_machinery(&native(function)),
            "{function}"
        );
    }
    for module in ["/lib/x86_64-linux-gnu/libc.so.6", "/usr/bin/python3.12"] {
        assert!(Rules::shipped().is_machinery(&in_module(module)));
    }
    for frame in [
        python("FastOperation.__call__", "/v/ttnn/decorators.py"),
        python("contextmanager", "/usr/lib/python3.12/contextlib.py"),
        python("_find", "<frozen importlib._bootstrap>"),
    ] {
        assert!(Rules::shipped().is_machinery(&frame), "{frame:?}");
    }
    for function in [
        "<alloc::vec::Vec<T> as core::ops::drop::Drop>::drop",
        "core::ptr::drop_in_place<host::Buffer>",
        "hashbrown::raw::RawTable<T>::drop_elements",
    ] {
        for file in [Some("/rustc/1/library/core/src/ptr/mod.rs"), None] {
            let frame = Frame {
                file: file.map(Arc::from),
                ..native(function)
            };
            assert!(Rules::shipped().is_machinery(&frame), "{frame:?}");
        }
    }
    for frame in [
        native("ProgramCache::evict(std::vector<int> const&)"),
        native("mystd::release"),
        // Of C++.
        native("core::ptr::Cache::evict()"),
        native("alloc::vec::Pool::release(int)"),
        native("crossbeam::Queue::drop()"),
        native("exit(Handle)"),
        native("clone(Handle)"),
        native("free(Handle&)"),
        native("exit_cache"),
        in_module("/opt/host/libdevice.so"),
        python("std::free", "/home/me/model.py"),
    ] {
        assert!(!Rules::shipped().is_machinery(&frame), "{frame:?}");
    }
}

#[test]
fn rules_of_an_adapter_are_for_its_traces_and_for_those_of_no_adapter() {
    let by = |adapters: &[&str]| {
        let mut trace: Trace = Trace::default();
        trace.process.adapters = adapters.iter().map(|name| (*name).to_owned()).collect();
        Rules::of(&[trace])
    };
    let tensor = native("ttnn::Tensor::deallocate(bool)");
    let library = in_module("/v/ttnn/_ttnn.so");
    for (adapters, theirs) in [
        (&["tt-metal"][..], true),
        (&["mine", "tt-metal"], true),
        (&["mine"], false),
        (&[], true),
    ] {
        let rules = by(adapters);
        assert_eq!(rules.is_machinery(&tensor), theirs, "{adapters:?}");
        assert_eq!(rules.is_runtime(&library), theirs, "{adapters:?}");
        assert!(rules.is_machinery(&native("std::terminate")));
    }
}

#[test]
fn an_adapter_is_asked_what_it_carries_by_its_name() {
    let listed = Rules::carried_by("tt-metal");
    assert!(listed.iter().any(|rule| rule == "runtime libtt_metal.so*"));
    // Every line is a rule of its own.
    assert!(listed.iter().all(|rule| rule.contains(' ')));
    assert!(Rules::parse(&listed.join("\n")).is_ok());
    assert_eq!(Rules::carried_by("tt"), Vec::<String>::new());
    // Of all that an adapter says, only one list are rules.
    let list = |name: &str, rule: &str| format!("{name} = [\n    # why\n    \"{rule}\",\n]\n");
    let adapter =
        list("other", "module x") + &list("machinery", "module y") + &list("more", "module z");
    assert_eq!(carried(&adapter), "module y\n");
}

#[test]
fn every_class_is_told() {
    let plain = [native("free_all"), native("main")];
    let exit = [native("__run_exit_handlers"), native("main")];
    let collector = [native("gc_collect_main"), native("main")];
    let script = |function| python(function, "/home/me/model.py");
    let shipped = Rules::shipped();
    for (site, stack, class) in [
        (native("Handle::~Handle()"), &plain, Class::Destructor),
        (
            native("<host::Buffer as core::ops::drop::Drop>::drop"),
            &plain,
            Class::Destructor,
        ),
        (script("Buffer.__del__"), &plain, Class::Destructor),
        (native("Store::evict(int)"), &plain, Class::Cache),
        (native("ns::LruMap::trim()"), &plain, Class::Cache),
        (native("ProgramCache::clear()"), &plain, Class::ProgramCache),
        (native("Pool::~Pool()"), &plain, Class::Pool),
        (native("mempool_give"), &plain, Class::Pool),
        (
            native("ProgramCache::~ProgramCache()"),
            &exit,
            Class::StaticTeardown,
        ),
        (script("step"), &collector, Class::Interpreter),
        (native("step"), &collector, Class::Explicit),
        (native("spool(Cache<int>&)"), &plain, Class::Explicit),
        (in_module("/opt/host/host"), &exit, Class::Other),
    ] {
        assert_eq!(shipped.class(&site, stack), class, "{site:?}");
    }
}

#[test]
fn rules_of_others_go_first() {
    let mine = Rules::parse(
        "# mine\n\
         function  Handle::release*   # everybody's helper\n\
         keep function std::mine::*\n\
         source */ref_ptr.hpp\n\
         python  Model.release\n\
         runtime libmine.so*\n\
         class pool  function  Store::*\n\
         class other word evict\n",
    );
    let rules = Rules::shipped().clone().and(mine.unwrap());
    let mut inlined = native("ref_ptr<Buffer>::reset()");
    inlined.file = Some(Arc::from("/src/base/ref_ptr.hpp"));
    for frame in [
        native("Handle::release_all(int)"),
        native("std::vector<int>::clear()"),
        python("Model.release", "/home/me/model.py"),
        inlined,
    ] {
        assert!(rules.is_machinery(&frame), "{frame:?}");
    }
    assert!(!rules.is_machinery(&native("std::mine::free(int)")));
    assert!(rules.is_runtime(&in_module("/usr/lib/libmine.so.3")));
    assert_eq!(rules.class(&native("Store::free()"), &[]), Class::Pool);
    assert_eq!(rules.class(&native("Other::evict()"), &[]), Class::Other);
    assert_eq!(rules.class(&native("Other::free()"), &[]), Class::Explicit);

    // The last one has the last word.
    let again = Rules::parse("function std::mine::*").unwrap();
    assert!(
        rules
            .and(again)
            .is_machinery(&native("std::mine::free(int)"))
    );
}

#[test]
fn a_class_may_be_told_by_any_name() {
    let rules = Rules::parse(
        "class cache word evict\n\
         class pool function Store::*\n\
         class destructor python Model.*\n\
         class explicit name exact<int>(*\n\
         class static_teardown under exit\n\
         class interpreter python-under Py_*\n",
    )
    .unwrap();
    let exit = [native("exit(int)")];
    let py = [native("Py_Finalize")];
    let model = |name| python(name, "/home/me/model.py");
    for (site, stack, class) in [
        (native("Some::Evictor::run()"), &[][..], Class::Cache),
        (native("Store::free()"), &[], Class::Pool),
        (model("Store::free()"), &[], Class::Other),
        (model("Model.free"), &[], Class::Destructor),
        (native("Model.free"), &[], Class::Other),
        (native("exact<int>(long)"), &[], Class::Explicit),
        (native("exact<long>(long)"), &[], Class::Other),
        (native("run()"), &exit, Class::StaticTeardown),
        (model("run"), &py, Class::Interpreter),
        (native("run()"), &py, Class::Other),
    ] {
        assert_eq!(rules.class(&site, stack), class, "{site:?}");
    }
}

#[test]
fn what_is_no_rule_is_told_by_line_and_column() {
    let long = format!("function {}", "x".repeat(1001));
    for (text, place, message) in [
        ("\nfuntion x", (2, 1), "`funtion` is not known here"),
        ("function", (1, 9), "the pattern is missing"),
        ("  function   # none", (1, 14), "the pattern is missing"),
        ("function *", (1, 10), "`*` fits everything"),
        ("module ***", (1, 8), "`***` fits everything"),
        ("runtime *", (1, 9), "`*` fits everything"),
        ("keep", (1, 5), "one of function, c, rust, module, source"),
        ("keep runtime x", (1, 6), "`runtime` is not known here"),
        ("class", (1, 6), "one of destructor, cache"),
        ("class chache word x", (1, 7), "`chache` is not known here"),
        ("class cache", (1, 12), "one of word, function"),
        ("class cache wrd x", (1, 13), "`wrd` is not known here"),
        ("class cache word", (1, 17), "the pattern is missing"),
        ("function a\u{0}b", (1, 11), "there is a control character"),
        (
            "function a\u{1b}[2J",
            (1, 11),
            "there is a control character",
        ),
        (&long, (1, 10), "a pattern has at most 1000 bytes"),
    ] {
        let error = Rules::parse(text).unwrap_err();
        assert_eq!((error.line, error.column), place, "{text:?}: {error}");
        assert!(error.message.starts_with(message), "{text:?}: {error}");
    }
    let unknown = Rules::parse("fonction x").unwrap_err();
    assert!(unknown.to_string().starts_with("1:1: `fonction`"));
    assert_eq!(unknown.word.as_deref(), Some("fonction"));
    assert!(unknown.known.contains(&"function"));
}

#[test]
fn texts_of_any_form_are_read_or_refused() {
    assert!(Rules::parse("").is_ok());
    assert!(Rules::parse(&format!("function {}", "x".repeat(1000))).is_ok());
    assert!(Rules::parse("\u{feff}function x\r\n\tmodule y # z\r\n").is_ok());
    let mut rules = Rules::parse("function main::{lambda(int)#1}*").unwrap();
    assert!(
        rules.layers[0]
            .machinery
            .function
            .fit("main::{lambda(int)#1}::x")
    );
    // A thousand hostile patterns against a long name.
    let text = format!("function {}b\n", "*a".repeat(400)).repeat(1000);
    rules = Rules::parse(&text).unwrap();
    assert!(!rules.is_machinery(&native("x")));
    let words = [
        "class", "keep", "function", "cache", "word", "*", "#", "\u{301}", " ", "ß",
    ];
    let mut state = 5_u64;
    for _ in 0..2000 {
        let mut text = String::new();
        for _ in 0..6 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            text.push_str(words[(state >> 33) as usize % words.len()]);
            if state >> 62 == 0 {
                text.push(' ');
            }
        }
        let _ = Rules::parse(&text);
    }
}
