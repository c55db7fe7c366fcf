//! Gives the shared library its name and pins it: thunks, hooks and callbacks may run until the very end.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libwhofreed.so");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
}
