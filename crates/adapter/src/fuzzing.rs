//! Doors for `fuzz/`, beside the way of an adapter: each takes bytes that otherwise only a file brings. They are built
//! where Cargo is told `--cfg fuzzing` alone.

use crate::Error;
use crate::expression;
use crate::library;
use crate::table;
use crate::table::Compiled;

/// Compiles one adapter, and reads what came of it again.
///
/// # Errors
/// That of the text.
pub fn compile(text: &str) -> Result<Vec<u8>, Error> {
    let compiled = table::compile_adapters(&[("fuzz.toml".to_owned(), text.to_owned())])?;
    let library = library::write(&compiled).map_err(Error::Library)?;
    library::check(&library, &compiled).map_err(Error::Library)?;
    Ok(library)
}

/// Parses one expression; `Err` is where it is wrong, and why.
///
/// # Errors
/// That of the text.
pub fn expression(text: &str) -> Result<(), (usize, String)> {
    let parsed = expression::parse(text);
    // Where a name is, is asked of what cannot be parsed as well.
    for name in ["a", "result", "arg0"] {
        if let Some(at) = expression::place_of(name, text) {
            assert!(text[at..].starts_with(name));
        }
    }
    parsed
        .map(drop)
        .map_err(|error| (error.offset, error.message))
}

/// An adapter, and the library that was made of it.
#[derive(Debug)]
pub struct Library {
    compiled: Compiled,
    /// The library, as it was written.
    pub bytes: Vec<u8>,
}

impl Library {
    /// Of an adapter that is right.
    ///
    /// # Errors
    /// That of the text.
    pub fn of(text: &str) -> Result<Self, Error> {
        let compiled = table::compile_adapters(&[("fuzz.toml".to_owned(), text.to_owned())])?;
        let bytes = library::write(&compiled).map_err(Error::Library)?;
        Ok(Self { compiled, bytes })
    }

    /// Whether these bytes would be loaded in its place.
    ///
    /// # Errors
    /// A sentence about what is wrong with them.
    pub fn check(&self, bytes: &[u8]) -> Result<(), String> {
        library::check(bytes, &self.compiled)
    }
}
