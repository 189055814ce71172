//! One spelling of a path: what means the same by the rules of URLs, or by what clients make of a base
//! URL, is one path for all that follows.

use std::borrow::Cow;

/// A path with single slashes, in which nothing is encoded that need not be (RFC 3986, 6.2.2). Base
/// URLs and methods are joined by clients, with a slash too many as often as not.
///
/// The path is one that no reader can take for another: see [`is_unsafe`].
pub(super) fn normal(path: &str) -> Cow<'_, str> {
    // Nearly every path is.
    if !path.contains('%') && !path.contains("//") {
        return Cow::Borrowed(path);
    }
    let mut normal = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find(['%', '/']) {
        let (before, special) = rest.split_at(at);
        normal.push_str(before);
        if special.starts_with('/') {
            normal.push('/');
            rest = special.trim_start_matches('/');
            continue;
        }
        let Some((plain, as_it_is)) = encoded(special) else {
            normal.push('%');
            rest = &special[1..];
            continue;
        };
        if is_unreserved(plain) {
            normal.push(plain);
        } else {
            normal.push_str(&as_it_is.to_ascii_uppercase());
        }
        rest = &special[as_it_is.len()..];
    }
    normal.push_str(rest);
    Cow::Owned(normal)
}

/// The path as it was sent, after that prefix, if it begins with it: for a server of which nobody knows
/// what its paths mean.
pub(super) fn as_sent<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let begin = path.trim_start_matches('/');
    let path = if begin.starts_with('@') || begin.starts_with("%40") {
        begin.get(begin.find('/')?..)?
    } else {
        path
    };
    path.strip_prefix(prefix)
}

/// Whether a path could mean another place to whoever reads it next.
pub(super) fn is_unsafe(path: &str) -> bool {
    let encoded = |pair: &[u8]| -> bool {
        // Slash, backslash, NUL and the other control characters, and the percent sign itself, which
        // would make a second decoding find something else, as what is no escape could.
        !pair.iter().all(u8::is_ascii_hexdigit)
            || matches!(
                pair,
                [b'2', b'f' | b'F' | b'5']
                    | [b'5', b'c' | b'C']
                    | [b'0' | b'1', _]
                    | [b'7', b'f' | b'F']
            )
    };
    let bytes = path.as_bytes();
    let disguised = bytes.iter().enumerate().any(|(at, byte)| match byte {
        b'%' => bytes.get(at + 1..at + 3).is_none_or(encoded),
        b'\\' | 0..=0x1f | 0x7f => true,
        _ => false,
    });
    let dots = |segment: &str| {
        // Nearly every segment shows it by its first byte.
        if !segment.starts_with(['.', '%']) {
            return false;
        }
        let plain = segment.replace("%2e", ".").replace("%2E", ".");
        // A segment's parameters do not hide its dots.
        let plain = plain.split(';').next().unwrap_or_default();
        plain == "." || plain == ".."
    };
    disguised || path.split('/').any(dots)
}

/// The encoded character that a text begins with, and its three bytes.
fn encoded(text: &str) -> Option<(char, &str)> {
    let encoded = text.get(..3)?;
    let digits =
        encoded.strip_prefix('%').filter(|it| it.bytes().all(|it| it.is_ascii_hexdigit()))?;
    Some((u8::from_str_radix(digits, 16).ok()?.into(), encoded))
}

/// What means the same encoded and not (RFC 3986, 2.3).
fn is_unreserved(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_means_the_same_is_one_path() {
        for (path, one) in [
            ("/api/auth.test", "/api/auth.test"),
            ("//api///auth.test//", "/api/auth.test/"),
            ("/%61pi/auth%2Etest", "/api/auth.test"),
            ("/services/T1/B1/%7e%5f%2dx", "/services/T1/B1/~_-x"),
            // What is reserved, or no ASCII, stays encoded, in one spelling.
            ("/api/caf%c3%a9%3a", "/api/caf%C3%A9%3A"),
            ("/%40job%3bclass=normal//api/x", "/%40job%3Bclass=normal/api/x"),
            ("/", "/"),
            ("///", "/"),
            ("/\u{e9}//b", "/\u{e9}/b"),
        ] {
            assert_eq!(normal(path), one, "{path}");
        }
    }

    /// Turned red by: an escape that is none and passes, which may make one with what follows it.
    #[test]
    fn what_could_be_decoded_twice_is_unsafe() {
        for path in ["/a%", "/a%4", "/a%+4", "/a%zz", "/a%%30", "/a%\u{e9}x", "/%2561", "/%2e%2E"] {
            assert!(is_unsafe(path), "{path}");
        }
        for path in ["/", "/a%20b", "/caf%C3%a9", "/%40job%3B", "/a.b/..c", "/\u{e9}"] {
            assert!(!is_unsafe(path), "{path}");
        }
    }

    #[test]
    fn a_path_as_it_was_sent_has_no_lane() {
        for (path, prefix, rest) in [
            ("/files//a/", "/files/", Some("/a/")),
            ("/@me/files/%61", "/files/", Some("%61")),
            ("//%40me/files/a", "/files/", Some("a")),
            ("//@me//x", "/", Some("/x")),
            ("//files/a", "/files/", None),
            ("/@me", "/", None),
        ] {
            assert_eq!(as_sent(path, prefix), rest, "{path}");
        }
    }

    proptest! {
        /// Whatever comes is read without a panic; once is enough; and what was safe stays safe.
        #[test]
        fn a_normal_path_is_normal(path in "/([a-z./%]|%[0-9a-fA-F]{2}|\\PC){0,24}") {
            let once = normal(&path).into_owned();
            if !is_unsafe(&path) {
                prop_assert_eq!(&*normal(&once), &once);
                prop_assert!(!is_unsafe(&once), "{}", once);
                prop_assert!(!once.contains("//"));
            }
        }
    }
}
