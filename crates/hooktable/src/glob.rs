//! Which libraries an adapter is for: the same answer in the host and before the run.

/// Whether one of the globs, separated by `|` and made of plain characters, `*` and `?`, fits the file name of `path`
/// (or the whole path, for a glob with a `/`). No globs at all fit everything.
#[must_use]
pub fn any_fits(globs: &[u8], path: &[u8]) -> bool {
    if globs.is_empty() {
        return true;
    }
    let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    globs.split(|byte| *byte == b'|').any(|glob| {
        let whole = glob.contains(&b'/');
        fits(glob, if whole { path } else { file })
    })
}

/// `*` and `?` globbing with one point of return, so its time is bounded by the product of lengths.
fn fits(glob: &[u8], text: &[u8]) -> bool {
    let (mut g, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some(b'*') => {
                star = Some((g, t));
                g += 1;
            }
            Some(byte) if *byte == b'?' || *byte == text[t] => {
                g += 1;
                t += 1;
            }
            _ => {
                let Some((at, from)) = star else {
                    return false;
                };
                star = Some((at, from + 1));
                g = at + 1;
                t = from + 1;
            }
        }
    }
    glob[g..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_fit_file_names_or_paths() {
        assert!(fits(b"libc.so*", b"libc.so.6"));
        assert!(fits(b"*", b""));
        assert!(fits(b"a*b?d", b"axxbxbcd"));
        assert!(!fits(b"a*b?d", b"axxbxbcde"));
        assert!(!fits(b"libc", b"libc.so.6"));
        assert!(fits(b"", b""));
        assert!(any_fits(b"nothing|libc.so*", b"/lib/libc.so.6"));
        assert!(any_fits(b"/*/libc.so.?", b"/lib/libc.so.6"));
        assert!(!any_fits(b"libm*|libpthread*", b"/lib/libc.so.6"));
    }
}
