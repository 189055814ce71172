//! Inputs that look like those that are kept, with something wrong.

use proptest::{collection::vec, prelude::*, sample::Index};

/// One thing that is done to an input.
#[derive(Clone, Debug)]
enum Mutation {
    /// A byte becomes another one.
    Set(Index, u8),
    /// Something is put in.
    Insert(Index, Vec<u8>),
    /// A piece goes.
    Remove(Index, Index),
    /// A piece is there several times.
    Repeat(Index, Index, u8),
    /// The rest goes.
    Cut(Index),
    /// A piece of another input is put in.
    Splice(Index, Index, Index, Index),
}

/// What means something to one reader or another.
const WORDS: [&[u8]; 40] = [
    b"\r\n",
    b"\n",
    b"\0",
    b"\xff\xfe",
    b"--",
    b"\"",
    b"\\",
    b"\\u0063",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b":",
    b",",
    b";",
    b"=",
    b"&",
    b"%",
    b"%2f",
    b"%00",
    b"%25",
    b"+",
    b"@",
    b"/",
    b"..",
    b"null",
    b"true",
    b"-1",
    b"0",
    b"1e999",
    b"18446744073709551616",
    b"9223372036854775807",
    b"0.5",
    b"'",
    b"&a",
    b"*a",
    b"|",
    b"\xe2\x80\xae",
    b"xoxb-1",
];

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    let word = any::<Index>().prop_map(|at| WORDS[at.index(WORDS.len())].to_vec());
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Mutation::Set(at, byte)),
        (at(), word).prop_map(|(at, word)| Mutation::Insert(at, word)),
        (at(), vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Mutation::Insert(at, bytes)),
        (at(), at()).prop_map(|(from, to)| Mutation::Remove(from, to)),
        (at(), at(), 2..40_u8).prop_map(|(from, to, times)| Mutation::Repeat(from, to, times)),
        at().prop_map(Mutation::Cut),
        (at(), at(), at(), at()).prop_map(|(of, from, to, at)| Mutation::Splice(of, from, to, at)),
    ]
}

/// The most bytes that mutations make.
const MOST: usize = 64 << 10;

/// Inputs made of these.
pub(super) fn mutated(corpus: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    assert!(!corpus.is_empty(), "there is no corpus");
    (any::<Index>(), vec(mutation(), 0..8)).prop_map(move |(first, mutations)| {
        let mut input = corpus[first.index(corpus.len())].clone();
        for mutation in mutations {
            mutation.apply(&mut input, &corpus);
            input.truncate(MOST);
        }
        input
    })
}

/// A piece of so many bytes.
fn piece(from: Index, to: Index, length: usize) -> std::ops::Range<usize> {
    let (from, to) = (from.index(length + 1), to.index(length + 1));
    from.min(to)..from.max(to)
}

// === impl Mutation ===

impl Mutation {
    fn apply(self, input: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let length = input.len();
        match self {
            Self::Set(..) if length == 0 => {}
            Self::Set(at, byte) => input[at.index(length)] = byte,
            Self::Insert(at, bytes) => insert(input, at, &bytes),
            Self::Remove(from, to) => drop(input.drain(piece(from, to, length))),
            Self::Repeat(from, to, times) => {
                let range = piece(from, to, length);
                let at = range.end;
                let pieces = input[range].repeat(usize::from(times));
                input.splice(at..at, pieces.into_iter().take(MOST));
            }
            Self::Cut(at) => input.truncate(at.index(length + 1)),
            Self::Splice(of, from, to, at) => {
                let other = &corpus[of.index(corpus.len())];
                insert(input, at, &other[piece(from, to, other.len())]);
            }
        }
    }
}

fn insert(input: &mut Vec<u8>, at: Index, bytes: &[u8]) {
    let at = at.index(input.len() + 1);
    input.splice(at..at, bytes.iter().copied());
}
