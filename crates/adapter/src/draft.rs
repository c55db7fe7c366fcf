//! A first adapter for a library, drafted from the names that it exports. A name is all there is to go by, so every
//! guess stands beside what to check; what the guesses leave out is there as comments.

mod functions;
mod words;
mod write;

use std::collections::BTreeMap;

use crate::check::File;
use crate::check::library::Library;
use crate::check::restored::restored;
use functions::Function;
use words::Role;

/// The two halves of a pair, and what counts in between.
#[derive(Debug, Default)]
struct Group {
    hands_out: Vec<Function>,
    takes_back: Vec<Function>,
    retains: Vec<Function>,
    resizes: Vec<Function>,
}

/// What was made of a library's exports.
#[derive(Debug, Default)]
struct Sorted {
    groups: Vec<Group>,
    /// Functions with a verb of ours that found no other half.
    left_out: Vec<Function>,
}

/// By what the halves of a pair find each other: whether it is opened and closed, and the words around the verb.
type Stem = (bool, Vec<String>);

/// Drafts an adapter for `file`; it is called `name`, or after the file.
///
/// # Errors
/// A sentence, when the file is no library, or none of its names says that it allocates or frees.
pub fn draft(file: &File, name: Option<&str>) -> Result<String, String> {
    let bytes = restored(&file.bytes);
    let library = Library::read(&bytes).map_err(|why| format!("{}: {why}", file.path))?;
    let functions = functions::of(&library);
    let exported = functions.len();
    let sorted = sort(functions);
    if sorted.groups.is_empty() {
        return Err(format!(
            "{}: of the {exported} functions that it exports, none is called like one that allocates or frees",
            file.path
        ));
    }
    // Those who link with it know it by this name; a file's own may have a version that changes.
    let known_by = library.soname.as_deref().unwrap_or(&file.path);
    let text = write::adapter(&sorted, &file.path, known_by, name);
    // It has to be accepted as it is.
    crate::table::compile_adapters(&[("the draft".to_owned(), text.clone())])
        .map_err(|error| format!("{}: {error}", file.path))?;
    Ok(text)
}

/// Puts halves together that have the same words around their verbs; a lone one that hands out goes to the one that
/// takes back with the most of its words and no others (`cudaMallocManaged` to `cudaFree`).
fn sort(functions: Vec<Function>) -> Sorted {
    let mut sorted = Sorted::default();
    let mut by_stem: BTreeMap<Stem, Group> = BTreeMap::new();
    for function in functions {
        let Some(said) = &function.said else { continue };
        let is_opened = matches!(said.verb, "open" | "close");
        let group = by_stem.entry((is_opened, said.stem.clone())).or_default();
        match said.role {
            Role::HandsOut => group.hands_out.push(function),
            Role::Retains => group.retains.push(function),
            Role::Resizes => group.resizes.push(function),
            Role::TakesBack => group.takes_back.push(function),
        }
    }
    for group in by_stem.values_mut() {
        sorted.left_out.extend(group.without_partners());
    }
    let lone: Vec<Stem> = { by_stem.iter() }
        .filter(|(_, group)| group.is_half())
        .map(|(stem, _)| stem.clone())
        .collect();
    for stem in lone {
        let partners = by_stem.iter().filter(|(other, group)| {
            let is_part = other.1.iter().all(|word| stem.1.contains(word));
            !group.takes_back.is_empty() && other.0 == stem.0 && is_part
        });
        let nearest = partners.max_by_key(|((_, words), _)| words.len());
        let Some(nearest) = nearest.map(|(other, _)| other.clone()) else {
            continue;
        };
        let moved = by_stem.remove(&stem).unwrap_or_default();
        if let Some(group) = by_stem.get_mut(&nearest) {
            group.hands_out.extend(moved.hands_out);
            group.retains.extend(moved.retains);
            group.resizes.extend(moved.resizes);
        }
    }
    let (pairs, rest): (Vec<Group>, Vec<Group>) = { by_stem.into_values() }
        .partition(|group| !group.hands_out.is_empty() && !group.takes_back.is_empty());
    if pairs.is_empty() {
        // Better than nothing: what sounds like a half, as one group.
        let mut all = Group::default();
        for group in rest {
            all.hands_out.extend(group.hands_out);
            all.takes_back.extend(group.takes_back);
            all.retains.extend(group.retains);
            all.resizes.extend(group.resizes);
        }
        let is_empty = all.hands_out.is_empty() && all.takes_back.is_empty();
        sorted.groups.extend((!is_empty).then_some(all));
    } else {
        sorted.groups = pairs;
        sorted
            .left_out
            .extend(rest.into_iter().flat_map(Group::all));
    }
    sorted.left_out.sort_by(|a, b| a.symbol.cmp(&b.symbol));
    sorted
}

impl Group {
    /// It hands out what nothing in it takes back.
    fn is_half(&self) -> bool {
        let hands_out = !self.hands_out.is_empty() || !self.resizes.is_empty();
        hands_out && self.takes_back.is_empty()
    }

    /// Takes out those whose verb means this only beside its opposite, where that is not there.
    fn without_partners(&mut self) -> Vec<Function> {
        let of = |functions: &[Function], verbs: &[&str]| {
            functions.iter().any(|it| verbs.contains(&it.verb()))
        };
        let get = of(&self.takes_back, &["put", "release", "give"]);
        let open = of(&self.takes_back, &["close"]);
        let put = of(&self.hands_out, &["get", "take", "acquire"]);
        let close = of(&self.hands_out, &["open"]);
        let referred = of(&self.takes_back, &["unref", "release"]);
        let mut out = Vec::new();
        let lists = [&mut self.hands_out, &mut self.takes_back, &mut self.retains];
        for list in lists {
            out.extend(list.extract_if(.., |function| match function.verb() {
                "get" => !get,
                "open" => !open,
                "put" => !put,
                "close" => !close,
                "ref" => !referred,
                _ => false,
            }));
        }
        out
    }

    fn all(self) -> impl Iterator<Item = Function> {
        let halves = self.hands_out.into_iter().chain(self.takes_back);
        halves.chain(self.retains).chain(self.resizes)
    }
}
