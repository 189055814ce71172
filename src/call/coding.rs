//! What a body says that is packed: an answer's, or a call's.

use std::{borrow::Cow, io::Read};

use flate2::bufread::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{HeaderMap, header};

/// How a body is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    Plain,
    Gzip,
    Deflate,
    Other,
}

/// A body as it is without its coding; none if that has more than `most` bytes, or the coding is not known.
pub fn unpacked<'b>(headers: &HeaderMap, body: &'b [u8], most: usize) -> Option<Cow<'b, [u8]>> {
    match coding(headers) {
        Coding::Plain => Some(Cow::Borrowed(body)),
        Coding::Gzip => unpack(MultiGzDecoder::new(body), most).map(Cow::Owned),
        // By the standard it is in zlib's format; some send it bare (RFC 9110, 8.4.1.2).
        Coding::Deflate => unpack(ZlibDecoder::new(body), most)
            .or_else(|| unpack(DeflateDecoder::new(body), most))
            .map(Cow::Owned),
        Coding::Other => None,
    }
}

fn coding(headers: &HeaderMap) -> Coding {
    let mut codings = headers.get_all(header::CONTENT_ENCODING).iter();
    let Some(coding) = codings.next() else { return Coding::Plain };
    let is = |name: &str| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(name.as_bytes());
    // What is packed twice is told in a list, too.
    match codings.next() {
        None if is("gzip") || is("x-gzip") => Coding::Gzip,
        None if is("deflate") => Coding::Deflate,
        None if is("identity") || is("") => Coding::Plain,
        _ => Coding::Other,
    }
}

/// All that comes out, if that is no more: a bomb is left alone.
fn unpack(from: impl Read, most: usize) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let read = from.take(most as u64 + 1).read_to_end(&mut text);
    (read.is_ok() && text.len() <= most).then_some(text)
}
