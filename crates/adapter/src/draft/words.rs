//! What a function's name says: words, the verb among them, and what is left, by which the two halves of a pair find
//! each other.

/// What a verb promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    HandsOut,
    TakesBack,
    Retains,
    Resizes,
}

/// Verbs, and what each means.
const VERBS: [(&str, Role); 29] = [
    ("alloc", Role::HandsOut),
    ("allocate", Role::HandsOut),
    ("malloc", Role::HandsOut),
    ("calloc", Role::HandsOut),
    ("memalign", Role::HandsOut),
    ("create", Role::HandsOut),
    ("new", Role::HandsOut),
    ("take", Role::HandsOut),
    ("acquire", Role::HandsOut),
    ("get", Role::HandsOut),
    ("open", Role::HandsOut),
    ("free", Role::TakesBack),
    ("dealloc", Role::TakesBack),
    ("deallocate", Role::TakesBack),
    ("destroy", Role::TakesBack),
    ("delete", Role::TakesBack),
    ("release", Role::TakesBack),
    ("give", Role::TakesBack),
    ("put", Role::TakesBack),
    ("close", Role::TakesBack),
    ("unref", Role::TakesBack),
    ("decref", Role::TakesBack),
    ("retain", Role::Retains),
    ("ref", Role::Retains),
    ("addref", Role::Retains),
    ("incref", Role::Retains),
    ("realloc", Role::Resizes),
    ("reallocate", Role::Resizes),
    ("reallocarray", Role::Resizes),
];

/// What a name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) role: Role,
    pub(super) verb: &'static str,
    /// All other words.
    pub(super) stem: Vec<String>,
}

/// What the words of a name say; `None` where there is no verb of ours.
pub(super) fn said(name: &str) -> Option<Said> {
    let words = words(name);
    // The last verb is the one that is meant: `free_list_take`.
    let (place, (verb, role)) = words.iter().enumerate().rev().find_map(|(at, word)| {
        let exact = VERBS.iter().find(|(verb, ..)| verb == word);
        exact.map(|found| (at, *found))
    })?;
    let mut stem = words;
    stem.remove(place);
    Some(Said { role, verb, stem })
}

/// The words of a name, small: cut at everything that is no letter or digit, where small letters meet capitals, and
/// before a long verb that ends a word (`poolalloc`).
fn words(name: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    let mut before_is_small = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && before_is_small) {
            words.push(std::mem::take(&mut word));
        }
        before_is_small = c.is_lowercase() || c.is_numeric();
        word.extend(c.is_alphanumeric().then(|| c.to_ascii_lowercase()));
    }
    words.push(word);
    words
        .into_iter()
        .flat_map(unglued)
        .filter(|word| !word.is_empty())
        .collect()
}

/// Cuts a long verb off the end of a word that is none itself.
fn unglued(word: String) -> Vec<String> {
    const LONG: usize = 4;
    if VERBS.iter().any(|(verb, ..)| *verb == word) {
        return vec![word];
    }
    let tails = VERBS.iter().map(|(verb, ..)| *verb);
    let longest = tails
        .filter(|verb| verb.len() >= LONG && word.ends_with(verb))
        .max_by_key(|verb| verb.len());
    match longest {
        Some(verb) => vec![word[..word.len() - verb.len()].to_owned(), verb.to_owned()],
        None => vec![word],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_verb_and_a_stem() {
        let told = |name: &str| said(name).map(|said| (said.role, said.verb, said.stem.join(" ")));
        let of = |role, verb, stem: &str| Some((role, verb, stem.to_owned()));
        assert_eq!(told("pool_take"), of(Role::HandsOut, "take", "pool"));
        assert_eq!(
            told("vkAllocateMemory"),
            of(Role::HandsOut, "allocate", "vk memory")
        );
        assert_eq!(told("cudaFree"), of(Role::TakesBack, "free", "cuda"));
        assert_eq!(told("poolalloc"), of(Role::HandsOut, "alloc", "pool"));
        assert_eq!(told("pool_dealloc"), of(Role::TakesBack, "dealloc", "pool"));
        assert_eq!(
            told("free_list_take"),
            of(Role::HandsOut, "take", "free list")
        );
        assert_eq!(told("obj_unref"), of(Role::TakesBack, "unref", "obj"));
        assert_eq!(
            told("GPUBufferRelease"),
            of(Role::TakesBack, "release", "gpubuffer")
        );
        assert_eq!(told("pool_size"), None);
        assert_eq!(told("pool_allocator"), None);
        assert_eq!(told(""), None);
    }
}
