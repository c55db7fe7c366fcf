//! Where the reader stands: how files and this command are called from there, so that what a report says can be
//! pasted.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;

/// The current folder, where it can be told.
pub(crate) fn folder() -> Option<String> {
    let folder = env::current_dir().ok()?;
    folder.into_os_string().into_string().ok()
}

/// A path to be typed, as short as it can be: from the current folder where the file lies below it.
pub(crate) fn from_here(path: &Path) -> String {
    from(env::current_dir().ok().as_deref(), path)
}

/// How this command is called: by its name where the shell finds it, else by its path.
pub(crate) fn program() -> String {
    match env::current_exe() {
        Ok(own) => called(
            &own,
            &env::var_os("PATH").unwrap_or_default(),
            env::current_dir().ok().as_deref(),
        ),
        Err(_) => "whofreed".to_owned(),
    }
}

fn from(here: Option<&Path>, path: &Path) -> String {
    let short = here.and_then(|here| path.strip_prefix(here).ok());
    short.unwrap_or(path).display().to_string()
}

fn called(own: &Path, search: &OsStr, here: Option<&Path>) -> String {
    let name = own.file_name().unwrap_or_default();
    if found(name, search).is_some_and(|found| found == own) {
        return name.to_string_lossy().into_owned();
    }
    let path = from(here, own);
    // A shell looks for a bare name elsewhere.
    if path.contains('/') {
        path
    } else {
        format!("./{path}")
    }
}

/// The file that a shell would run.
fn found(name: &OsStr, search: &OsStr) -> Option<PathBuf> {
    let is_program = |file: &PathBuf| {
        let metadata = file.metadata();
        metadata.is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    let candidates = env::split_paths(search).map(|folder| folder.join(name));
    fs::canonicalize(candidates.into_iter().find(is_program)?).ok()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_called_as_a_shell_would_find_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(folder.path()).unwrap();
        let place = |name: &str| {
            let file = root.join(name).join("whofreed");
            fs::create_dir_all(root.join(name)).unwrap();
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
            file
        };
        let own = place("target/release");
        let other = place("other");
        let folder_of = |file: &Path| file.parent().unwrap().as_os_str().to_owned();
        let nowhere = OsStr::new("/nowhere");
        let call = |search: &OsStr, here: &Path| called(&own, search, Some(here));

        assert_eq!(call(&folder_of(&own), &root), "whofreed");
        assert_eq!(call(nowhere, &root), "target/release/whofreed");
        assert_eq!(call(nowhere, own.parent().unwrap()), "./whofreed");
        let absolute = own.to_str().unwrap();
        assert_eq!(call(nowhere, &root.join("other")), absolute);
        // Another one of that name comes first.
        let both = env::join_paths([folder_of(&other), folder_of(&own)]).unwrap();
        assert_eq!(call(&both, &root), "target/release/whofreed");
        // What is no program is passed over.
        fs::set_permissions(&other, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(call(&both, &root), "whofreed");
        // A link to it is as good.
        fs::remove_file(&other).unwrap();
        std::os::unix::fs::symlink(&own, &other).unwrap();
        assert_eq!(call(&folder_of(&other), &root), "whofreed");
    }
}
