//! "did you mean": the known word that is nearest to an unknown one.

/// The text to add to a message about `word`: a hint, or nothing when no known word is near.
#[must_use]
pub fn suggestion<'word>(word: &str, known: impl IntoIterator<Item = &'word str>) -> String {
    let near = known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 3)
        .min();
    match near {
        Some((_, candidate)) => format!("; did you mean `{candidate}`?"),
        None => String::new(),
    }
}

/// How many characters have to be added, removed or replaced to make `left` into `right`.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, character) in left.chars().enumerate() {
        let mut diagonal = index;
        row[0] = index + 1;
        for place in 0..right.len() {
            let replaced = diagonal + usize::from(character != right[place]);
            diagonal = row[place + 1];
            row[place + 1] = replaced.min(row[place] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_word_is_suggested_and_a_far_one_is_not() {
        let known = ["allocate", "deallocate", "attempt"];
        assert_eq!(suggestion("alocate", known), "; did you mean `allocate`?");
        assert_eq!(
            suggestion("dealocat", known),
            "; did you mean `deallocate`?"
        );
        assert_eq!(suggestion("zzz", known), "");
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
