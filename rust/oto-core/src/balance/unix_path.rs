//! Targets that are Unix sockets: `unix:` and an absolute path where others have an address.

/// The longest path: the kernel has 108 bytes for it, the last one is a NUL.
const MOST_BYTES: usize = 107;

/// The path of an address that names a Unix socket; none of any other address.
#[must_use]
pub fn unix_path(address: &str) -> Option<&str> {
    // A port behind a host of that name is no path.
    address
        .strip_prefix("unix:")
        .filter(|path| path.starts_with('/'))
}

/// Say what is wrong with the path of a Unix socket.
#[must_use]
pub fn unix_path_problem(path: &str) -> Option<&'static str> {
    if path.len() > MOST_BYTES {
        return Some("the path of a Unix socket has 107 bytes at most");
    }
    // A bar parts a target's address from the rest of the name of its pool.
    if path
        .bytes()
        .any(|byte| byte < 0x21 || byte == 0x7f || byte == b'|')
    {
        return Some("the path of a Unix socket has no blanks, control characters and bars here");
    }
    let mut names = path.split('/');
    let is_whole = names.next() == Some("") && names.all(|name| !matches!(name, "" | "." | ".."));
    (!is_whole).then_some("write the path of a Unix socket in full, without `//`, `.` and `..`")
}

/// Whether a path is one of some, or below one.
#[must_use]
pub fn is_below(path: &str, folders: &[Box<str>]) -> bool {
    folders.iter().any(|folder| {
        let folder = folder.trim_end_matches('/');
        path.strip_prefix(folder)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_absolute_path_behind_the_scheme_is_one() {
        assert_eq!(unix_path("unix:/run/a.sock"), Some("/run/a.sock"));
        for address in ["unix:80", "unix:a.sock", "/run/a.sock", "10.0.0.1", "unix:"] {
            assert_eq!(unix_path(address), None, "{address}");
        }
    }

    #[test]
    fn paths_are_whole_and_short_enough_for_the_kernel() {
        let longest = format!("/{}", "a".repeat(106));
        assert_eq!(unix_path_problem(&longest), None);
        assert!(unix_path_problem(&format!("{longest}a")).is_some());
        for path in [
            "/run/../etc/a",
            "/run/./a",
            "/run//a",
            "/run/",
            "/",
            "a",
            "/a b",
            "/a\0",
            "/a|h2",
        ] {
            assert!(unix_path_problem(path).is_some(), "{path:?}");
        }
    }

    #[test]
    fn a_folder_holds_what_is_below_it_and_no_neighbour() {
        let folders = ["/run/app".into(), "/srv/".into()];
        for (path, is_in) in [
            ("/run/app", true),
            ("/run/app/a.sock", true),
            ("/run/apple/a.sock", false),
            ("/srv/a.sock", true),
            ("/var/run/docker.sock", false),
        ] {
            assert_eq!(is_below(path, &folders), is_in, "{path}");
        }
        assert!(is_below("/any", &["/".into()]));
        assert!(!is_below("/any", &[]));
    }
}
