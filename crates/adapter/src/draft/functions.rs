//! The functions that a library exports, with what can be told of each from its name: for C++ that is its types, too.

use std::collections::HashSet;

use crate::check::library::Kind;
use crate::check::library::Library;
use crate::signature::demangled;
use crate::unfit::unfit;

use super::words::Said;
use super::words::said;

/// Those of the linker and of the C library that sound like ours, and are about something else.
const OF_OTHERS: [&str; 4] = ["dlopen", "dlclose", "_init", "_fini"];

/// A function that could be hooked.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) symbol: String,
    /// Of a C++ function.
    pub(super) signature: Option<String>,
    /// The types of its parameters, for C++.
    pub(super) parameters: Option<Vec<String>>,
    /// `arg0` is `this`.
    pub(super) is_method: bool,
    pub(super) said: Option<Said>,
}

impl Function {
    pub(super) fn verb(&self) -> &str {
        self.said.as_ref().map_or("", |said| said.verb)
    }

    /// The first parameter of which this is true, as the number of its argument. Floating-point ones do not count,
    /// since they travel elsewhere.
    pub(super) fn argument(&self, is_it: impl Fn(&str) -> bool) -> Option<usize> {
        let integers = self.parameters.iter().flatten();
        let mut integers = integers.filter(|it| !matches!(it.as_str(), "float" | "double"));
        let place = integers.position(|it| is_it(it))? + usize::from(self.is_method);
        (place < 6).then_some(place)
    }
}

/// All that a library exports, in the order of the symbols.
pub(super) fn of(library: &Library<'_>) -> Vec<Function> {
    let mut classes = HashSet::new();
    let mut functions = Vec::new();
    for (symbol, definitions) in &library.definitions {
        let readable = symbol.starts_with("_Z").then(|| demangled(symbol));
        if let Some(readable) = &readable {
            classes.extend(class_of(readable));
        }
        let is_function = definitions
            .iter()
            .any(|it| it.is_default && matches!(it.kind, Kind::Function | Kind::Chosen));
        let is_ours = unfit(symbol).is_none() && !OF_OTHERS.contains(&symbol.as_str());
        if is_function && is_ours && !is_borrowed(symbol) {
            functions.push((symbol, readable));
        }
    }
    functions
        .into_iter()
        .map(|(symbol, readable)| function(symbol, readable, &classes))
        .collect()
}

/// Instances of templates of the standard library, which every C++ library has, and what compilers add.
fn is_borrowed(symbol: &str) -> bool {
    let begins = |with: &[&str]| with.iter().any(|with| symbol.starts_with(with));
    begins(&[
        "_ZNSt",
        "_ZNKSt",
        "_ZSt",
        "_ZN9__gnu_cxx",
        "_ZNK9__gnu_cxx",
        "_ZGV",
        "_ZT",
    ])
}

fn function(symbol: &str, readable: Option<String>, classes: &HashSet<String>) -> Function {
    // What cannot be demangled is a name like those of C.
    let readable = readable.filter(|readable| readable != symbol);
    let plain = |said| Function {
        said,
        symbol: symbol.to_owned(),
        signature: None,
        parameters: None,
        is_method: false,
    };
    let Some(readable) = readable else {
        return plain(said(symbol));
    };
    let (path, parameters) = cut(&readable);
    let (scope, name) = scope_and_name(path);
    let Some(mut said) = said(name) else {
        return plain(None);
    };
    // Two classes have nothing to do with each other.
    said.stem.insert(0, scope.to_lowercase());
    Function {
        symbol: symbol.to_owned(),
        is_method: readable.ends_with(" const") || classes.contains(scope),
        parameters: Some(parameters.into_iter().map(str::to_owned).collect()),
        said: Some(said),
        signature: Some(readable.clone()),
    }
}

/// The class whose constructor, destructor or table of virtual functions this is.
fn class_of(readable: &str) -> Option<String> {
    for what in ["vtable for ", "typeinfo for "] {
        if let Some(class) = readable.strip_prefix(what) {
            return Some(class.to_owned());
        }
    }
    let (scope, name) = scope_and_name(cut(readable).0);
    let (_, class) = scope_and_name(scope);
    let is_special = !class.is_empty() && name.trim_start_matches('~') == class;
    is_special.then(|| scope.to_owned())
}

/// A signature as its name and the types of its parameters.
fn cut(readable: &str) -> (&str, Vec<&str>) {
    let end = readable.rfind(')').unwrap_or(readable.len());
    let mut depth = 0_usize;
    let mut commas = Vec::new();
    for (at, c) in readable[..end].char_indices().rev() {
        match c {
            ')' | '>' => depth += 1,
            '(' if depth == 0 => {
                let mut parameters = Vec::new();
                let mut from = at + 1;
                for comma in commas.into_iter().rev().chain([end]) {
                    parameters.push(readable[from..comma].trim());
                    from = comma + 1;
                }
                parameters.retain(|it| !it.is_empty());
                return (&readable[..at], parameters);
            }
            '(' | '<' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => commas.push(at),
            _ => {}
        }
    }
    (readable, Vec::new())
}

/// `a::b<c::d>::e` as `a::b<c::d>` and `e`.
fn scope_and_name(path: &str) -> (&str, &str) {
    let mut depth = 0_usize;
    for (at, c) in path.char_indices().rev() {
        match c {
            '>' => depth += 1,
            '<' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && path[..at].ends_with(':') => {
                return (&path[..at - 1], &path[at + 1..]);
            }
            _ => {}
        }
    }
    ("", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_falls_into_scope_name_and_parameters() {
        let (path, parameters) =
            cut("a::B<c::d, e>::take(unsigned long, void (*)(int, int)) const");
        assert_eq!(path, "a::B<c::d, e>::take");
        assert_eq!(parameters, ["unsigned long", "void (*)(int, int)"]);
        assert_eq!(scope_and_name(path), ("a::B<c::d, e>", "take"));
        assert_eq!(cut("pool()"), ("pool", vec![]));
        assert_eq!(cut("vtable for Pool"), ("vtable for Pool", vec![]));
    }

    #[test]
    fn a_class_is_known_by_its_constructor() {
        assert_eq!(class_of("a::Pool::Pool(int)").as_deref(), Some("a::Pool"));
        assert_eq!(class_of("a::Pool::~Pool()").as_deref(), Some("a::Pool"));
        assert_eq!(class_of("vtable for a::Pool").as_deref(), Some("a::Pool"));
        assert_eq!(class_of("a::Pool::take(int)"), None);
        assert_eq!(class_of("take(int)"), None);
    }
}
