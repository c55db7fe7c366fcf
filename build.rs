//! Writes `include/whofreed.h` from the Rust sources of the C ABI, when asked to by the feature `generate-header`.
//!
//! The header is checked in and an ordinary build does not touch it. `WHOFREED_HEADER_OUT` names another file to
//! write to, by which `cargo xtask header --check` finds a stale one.

/// `modelled`: the lock-free parts alone, with the atomics of a checker of interleavings.
fn tell_what_is_modelled() {
    println!("cargo:rustc-check-cfg=cfg(modelled)");
    if ["CARGO_CFG_LOOM", "CARGO_CFG_SHUTTLE"]
        .iter()
        .any(|name| std::env::var_os(name).is_some())
    {
        println!("cargo:rustc-cfg=modelled");
    }
}

#[cfg(feature = "generate-header")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    tell_what_is_modelled();
    let root = std::path::PathBuf::from(std::env::var("CARGO_MANIFEST_DIR")?);
    println!("cargo:rerun-if-env-changed=WHOFREED_HEADER_OUT");
    for input in [
        "build.rs",
        "cbindgen.toml",
        "src/abi.rs",
        "crates/shared/src/ffi.rs",
        "include/whofreed.h",
    ] {
        println!("cargo:rerun-if-changed={input}");
    }
    let output = match std::env::var_os("WHOFREED_HEADER_OUT") {
        Some(path) => std::path::PathBuf::from(path),
        None => root.join("include/whofreed.h"),
    };
    let bindings = cbindgen::Builder::new()
        .with_config(cbindgen::Config::from_file(root.join("cbindgen.toml"))?)
        .with_src(root.join("src/abi.rs"))
        .with_src(root.join("crates/shared/src/ffi.rs"))
        .generate()?;
    let mut text = Vec::new();
    bindings.write(&mut text);
    // Trailing blanks come from empty lines of documentation.
    let text = String::from_utf8(text)?;
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    std::fs::write(output, lines.join("\n") + "\n")?;
    Ok(())
}

#[cfg(not(feature = "generate-header"))]
fn main() {
    tell_what_is_modelled();
    println!("cargo:rerun-if-changed=build.rs");
}
