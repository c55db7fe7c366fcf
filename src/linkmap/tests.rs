//! The walk against the linker's own answers, on the process that runs the tests.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use std::ffi::CString;

fn by_dlsym(name: &CStr) -> usize {
    // SAFETY: dlsym takes any name.
    unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()).expose_provenance() }
}

fn by_dlvsym(name: &CStr, version: &CStr) -> usize {
    // SAFETY: dlvsym takes any name and version.
    let address = unsafe { libc::dlvsym(libc::RTLD_DEFAULT, name.as_ptr(), version.as_ptr()) };
    address.expose_provenance()
}

#[test]
fn finds_what_dlsym_finds() {
    // Plain functions, data, IFUNCs (strlen, memcpy, time), and a symbol of the linker.
    for name in [
        c"malloc",
        c"free",
        c"printf",
        c"environ",
        c"strlen",
        c"memcpy",
        c"time",
        c"dlopen",
        c"_r_debug",
        c"__tls_get_addr",
    ] {
        let expected = by_dlsym(name);
        assert_ne!(expected, 0, "{name:?}");
        assert_eq!(
            find_symbol(name.to_bytes(), b""),
            Some(expected),
            "{name:?}"
        );
    }
}

#[test]
fn agrees_with_dlsym_on_every_exported_name_of_libc() {
    let libc = objects()
        .find(|object| object.matches(b"libc.so*"))
        .unwrap();
    let mut compared = 0;
    for name in std::fs::read(libc.name().to_str().unwrap())
        .unwrap()
        .split(|byte| *byte == 0)
        .filter(|name| (3..40).contains(&name.len()))
        .filter(|name| {
            name.iter()
                .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
        })
    {
        let Some(address) = libc.find_symbol(name, None) else {
            continue;
        };
        // SAFETY: dlsym takes any name; the object is libc, which stays.
        let expected = unsafe {
            let handle = libc::dlopen(libc.name().as_ptr(), libc::RTLD_NOLOAD | libc::RTLD_LAZY);
            libc::dlsym(handle, CString::new(name).unwrap().as_ptr()).expose_provenance()
        };
        assert_eq!(address, expected, "{}", String::from_utf8_lossy(name));
        compared += 1;
    }
    assert!(compared > 1500, "only {compared} names compared");
}

#[test]
fn knows_versions() {
    let default = find_symbol(b"pthread_cond_wait", b"libc.so*").unwrap();
    assert_eq!(default, by_dlsym(c"pthread_cond_wait"));
    #[cfg(target_arch = "x86_64")]
    {
        let old = find_symbol(b"pthread_cond_wait@GLIBC_2.2.5", b"libc.so*").unwrap();
        assert_eq!(old, by_dlvsym(c"pthread_cond_wait", c"GLIBC_2.2.5"));
        assert_ne!(old, default);
        // memcpy@GLIBC_2.2.5 is hidden and an IFUNC.
        let old = find_symbol(b"memcpy@GLIBC_2.2.5", b"libc.so*").unwrap();
        assert_eq!(old, by_dlvsym(c"memcpy", c"GLIBC_2.2.5"));
    }
    assert_eq!(find_symbol(b"malloc@NO_SUCH_VERSION", b"libc.so*"), None);
}

#[test]
fn does_not_find_what_is_not_there() {
    assert_eq!(find_symbol(b"whofreed_no_such_symbol", b""), None);
    assert_eq!(find_symbol(b"", b""), None);
    assert_eq!(find_symbol(b"mal", b""), None);
    assert_eq!(find_symbol(b"mallocc", b""), None);
    assert_eq!(find_symbol(b"malloc", b"libm.so*"), None);
    // Thread-local: has no address.
    assert_eq!(find_symbol(b"errno@GLIBC_PRIVATE", b"libc.so*"), None);
}

#[test]
fn globs_fit_file_names_or_paths() {
    let libc = objects()
        .find(|object| object.matches(b"nothing|libc.so*"))
        .unwrap();
    assert!(libc.matches(b"/*/libc.so.?"));
    assert!(!libc.matches(b"libm*|libpthread*"));
}

#[test]
fn objects_have_ranges_names_and_build_ids() {
    let all: Vec<Object> = objects().collect();
    assert!(all.len() >= 3);
    assert!(all[0].name().is_empty());
    for object in &all {
        let range = object.range().unwrap();
        assert!(range.contains(&object.dynamic()), "{object:?}");
        assert_eq!(object_of(range.start), Some(*object));
    }
    let here = objects_have_ranges_names_and_build_ids as *const () as usize;
    let found = find_object(here).unwrap();
    assert_eq!(Object::at(found.link_map), Some(all[0]));
    assert_ne!(found.eh_frame, 0);
    assert_eq!(name_of(&found), c"");
    assert_eq!(find_object(8), None);
    let on_stack = 0u8;
    assert_eq!(find_object((&raw const on_stack).addr()), None);

    let libc = all
        .iter()
        .find(|object| object.matches(b"libc.so*"))
        .unwrap();
    let id = libc.build_id().unwrap();
    assert_eq!(id.len(), 20);
    let file = std::fs::read(libc.name().to_str().unwrap()).unwrap();
    let mut note = b"\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0".to_vec();
    note.extend_from_slice(id);
    assert!(file.windows(note.len()).any(|window| window == note));
}

#[test]
fn program_headers_give_the_same_ranges_as_the_linker() {
    for object in objects() {
        let (linker, own) = (object.found().unwrap(), object.measured().unwrap());
        assert_eq!(own.start, linker.start, "{:?}", object.name());
        assert_eq!(
            own.end.next_multiple_of(4096),
            linker.end.next_multiple_of(4096)
        );
        assert_eq!(own.eh_frame, linker.eh_frame, "{:?}", object.name());
    }
}

/// Both kinds of hash table, versions of one's own, and a thread-local symbol.
#[test]
fn finds_symbols_by_either_hash_table() {
    let folder = std::env::temp_dir().join(format!("whofreed-linkmap-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let source = folder.join("hash.c");
    let map = folder.join("hash.map");
    std::fs::write(
        &source,
        "__thread int wf_test_tls = 1; int wf_test_data = 2;
         int wf_test_new(void) { return 2; } int wf_test_old(void) { return 1; }
         int wf_test_plain(void) { return 3; } static int hidden(void) { return 4; }
         int wf_test_caller(void) { return hidden(); }
         __asm__(\".symver wf_test_old,wf_test_fun@V1\");
         __asm__(\".symver wf_test_new,wf_test_fun@@V2\");",
    )
    .unwrap();
    std::fs::write(&map, "V1 { global: wf_test_*; local: *; }; V2 { } V1;").unwrap();
    for style in ["gnu", "sysv"] {
        let library = folder.join(format!("libwf-test-{style}.so"));
        let compiled = std::process::Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .arg(format!(
                "-Wl,--hash-style={style},--version-script={}",
                map.display()
            ))
            .status()
            .unwrap();
        assert!(compiled.success());
        let path = CString::new(library.to_str().unwrap()).unwrap();
        // SAFETY: the library has no constructors.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null());
        let object = objects()
            .find(|object| object.name() == path.as_c_str())
            .unwrap();
        for name in [
            c"wf_test_data",
            c"wf_test_plain",
            c"wf_test_fun",
            c"wf_test_caller",
        ] {
            // SAFETY: dlsym takes any name.
            let expected = unsafe { libc::dlsym(handle, name.as_ptr()).expose_provenance() };
            assert_eq!(
                object.find_symbol(name.to_bytes(), None),
                Some(expected),
                "{style}"
            );
        }
        for (version, result) in [(b"V1", 1), (b"V2", 2)] {
            let address = object.find_symbol(b"wf_test_fun", Some(version)).unwrap();
            // SAFETY: a function of this type, by the source above.
            let call = unsafe {
                std::mem::transmute::<*const c_void, extern "C" fn() -> c_int>(
                    with_exposed_provenance(address),
                )
            };
            assert_eq!(call(), result, "{style}");
        }
        assert_eq!(object.find_symbol(b"wf_test_tls", None), None);
        assert_eq!(object.find_symbol(b"hidden", None), None);
        assert_eq!(object.find_symbol(b"malloc", None), None);
        // SAFETY: nothing of the library is in use any more.
        assert_eq!(unsafe { libc::dlclose(handle) }, 0);
        assert!(!objects().any(|object| object.name() == path.as_c_str()));
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
