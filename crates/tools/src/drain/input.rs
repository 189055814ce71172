//! The backlog: a file that is read line by line, however long it is.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde_json::{Map, Value};
use yaml::nearest;

use super::call::BacklogCall;

/// Where the calls are, and how they are written.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) path: PathBuf,
    pub(super) form: Form,
}

/// How calls are written.
#[derive(Clone, Debug)]
pub(super) enum Form {
    /// A JSON object a line; the method of those that name none.
    Ndjson { method: Option<String> },
    /// A row a call: its method, and which argument is in which column.
    Csv { method: String, args: Vec<(String, String)> },
}

/// The calls, one after the other.
pub(super) struct Calls<R>(Lines<R>);

enum Lines<R> {
    Ndjson { reader: BufReader<R>, line: u64, text: Vec<u8>, method: Option<String> },
    Csv { reader: Box<csv::Reader<Sips<R>>>, method: String, columns: Vec<(String, usize)> },
}

/// A line that is no call, and why not.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BadLine {
    pub(super) line: u64,
    pub(super) why: String,
}

/// Reads so much and no more until told to go on: a quote that nobody closes is no reason to hold
/// the rest of a file.
struct Sips<R> {
    inner: R,
    left: usize,
}

/// The longest line.
const LINE: usize = 1 << 20;
/// Beyond a row, the reader has what it read ahead.
const AHEAD: usize = 64 << 10;

// === impl Input ===

impl Input {
    /// The calls, from the first.
    ///
    /// # Errors
    /// If the file cannot be read, or does not have the columns.
    pub(super) fn calls(&self) -> anyhow::Result<Calls<File>> {
        self.read(open(&self.path)?)
    }

    /// The calls that a reader of the file gives.
    ///
    /// # Errors
    /// If the file cannot be read, or does not have the columns.
    pub(super) fn read<R: Read>(&self, from: R) -> anyhow::Result<Calls<R>> {
        let path = self.path.display();
        match &self.form {
            Form::Ndjson { method } => Ok(Calls(Lines::Ndjson {
                reader: BufReader::with_capacity(AHEAD, from),
                line: 0,
                text: Vec::new(),
                method: method.clone(),
            })),
            Form::Csv { method, args } => {
                let sips = Sips { inner: from, left: LINE };
                let mut reader = csv::Reader::from_reader(sips);
                let header = reader.headers().with_context(|| format!("cannot read {path}"))?;
                let mut columns = Vec::new();
                for (arg, column) in args {
                    let Some(at) = header.iter().position(|name| name == column) else {
                        let near = match nearest(column, header, 1).first() {
                            Some(near) => format!("; is it {near}?"),
                            None => String::new(),
                        };
                        let all = header.iter().collect::<Vec<_>>().join(", ");
                        bail!("{path} has no column {column}{near} Its first line has: {all}");
                    };
                    columns.push((arg.clone(), at));
                }
                let (reader, method) = (Box::new(reader), method.clone());
                Ok(Calls(Lines::Csv { reader, method, columns }))
            }
        }
    }
}

/// Opens what is to be read.
///
/// # Errors
/// If it cannot be.
pub(super) fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).with_context(|| format!("cannot read {}", path.display()))
}

// === impl Calls ===

impl<R: Read> Calls<R> {
    /// The next call, or the next line that is none.
    ///
    /// # Errors
    /// If the file cannot be read any further.
    pub(super) fn next(&mut self) -> io::Result<Option<Result<BacklogCall, BadLine>>> {
        match &mut self.0 {
            Lines::Ndjson { reader, line, text, method } => loop {
                text.clear();
                if !read_line(reader, text)? {
                    return Ok(None);
                }
                *line += 1;
                let mut text = text.as_slice();
                if *line == 1 {
                    text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
                }
                let call = match text.trim_ascii() {
                    [] => continue,
                    _ if text.len() > LINE => Err("is longer than 1 MiB".to_owned()),
                    text => BacklogCall::read(*line, text, method.as_deref()),
                };
                return Ok(Some(call.map_err(|why| BadLine { line: *line, why })));
            },
            Lines::Csv { reader, method, columns } => {
                reader.get_mut().left = LINE + AHEAD;
                let mut row = csv::StringRecord::new();
                let read = reader.read_record(&mut row);
                let line = row.position().map_or(0, csv::Position::line);
                let call = match read {
                    Ok(false) => return Ok(None),
                    Ok(true) => from_row(line, &row, method, columns),
                    Err(error) => {
                        let line = error.position().map_or(line, csv::Position::line);
                        let why = match error.kind() {
                            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                                format!("has {len} columns, and the first line has {expected_len}")
                            }
                            csv::ErrorKind::Utf8 { .. } => "is not UTF-8".to_owned(),
                            _ => return Err(error.into()),
                        };
                        return Ok(Some(Err(BadLine { line, why })));
                    }
                };
                Ok(Some(call.map_err(|why| BadLine { line, why })))
            }
        }
    }
}

fn from_row(
    line: u64,
    row: &csv::StringRecord,
    method: &str,
    columns: &[(String, usize)],
) -> Result<BacklogCall, String> {
    let mut args = Map::new();
    for (name, at) in columns {
        match row.get(*at) {
            None | Some("") => return Err(format!("has nothing for the argument {name}")),
            Some(value) => args.insert(name.clone(), value.into()),
        };
    }
    BacklogCall::new(line, Value::from(line), method, args, None)
}

/// Reads a line, of which no more is kept than tells that it is too long.
fn read_line(reader: &mut BufReader<impl Read>, text: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        let some = reader.fill_buf()?;
        if some.is_empty() {
            return Ok(!text.is_empty());
        }
        let end = some.iter().position(|byte| *byte == b'\n');
        let part = &some[..end.unwrap_or(some.len())];
        let room = (LINE + 1).saturating_sub(text.len());
        text.extend_from_slice(&part[..part.len().min(room)]);
        let used = end.map_or(some.len(), |end| end + 1);
        reader.consume(used);
        if end.is_some() {
            return Ok(true);
        }
    }
}

// === impl Sips ===

impl<R: Read> Read for Sips<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            let text = "a row is longer than 1 MiB: is a quote not closed?";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let most = self.left.min(to.len());
        let read = self.inner.read(&mut to[..most])?;
        self.left -= read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(form: Form, text: &[u8]) -> Vec<Result<(u64, String), u64>> {
        let input = Input { path: "it".into(), form };
        let mut calls = input.read(text).unwrap();
        let mut all = Vec::new();
        while let Some(next) = calls.next().unwrap() {
            all.push(next.map(|call| (call.line, call.form())).map_err(|bad| bad.line));
        }
        all
    }

    fn csv(args: &[(&str, &str)]) -> Form {
        let args = args.iter().map(|(arg, column)| ((*arg).to_owned(), (*column).to_owned()));
        Form::Csv { method: "conversations.close".to_owned(), args: args.collect() }
    }

    #[test]
    fn lines_are_counted_whatever_is_in_them() {
        let long = format!("{{\"args\":{{\"x\":\"{}\"}}}}\n", "x".repeat(LINE));
        let text =
            format!("\u{feff}{{\"args\":{{\"a\":1}}}}\n\n \r\nnope\n{long}{{\"args\":{{}}}}");
        let form = Form::Ndjson { method: Some("a.b".to_owned()) };
        let expected = [Ok((1, "a=1".to_owned())), Err(4), Err(5), Ok((6, String::new()))];
        assert_eq!(lines(form, text.as_bytes()), expected);
    }

    #[test]
    fn a_row_is_a_call_with_the_columns_that_were_named() {
        let text = b"\xef\xbb\xbfid,name\nG1,\"a,\nb\"\nG2\n,x\nG\xff,x\nG3,y\n";
        let expected = [
            Ok((2, "channel=G1&name=a%2C%0Ab".to_owned())),
            Err(4),
            Err(5),
            Err(6),
            Ok((7, "channel=G3&name=y".to_owned())),
        ];
        assert_eq!(lines(csv(&[("channel", "id"), ("name", "name")]), text), expected);
    }

    #[test]
    fn a_column_that_is_not_there_is_an_error_with_those_that_are() {
        let input = Input { path: "dms.csv".into(), form: csv(&[("channel", "channel")]) };
        let Err(error) = input.read(&b"channel_id,name\n"[..]) else { panic!("it is not there") };
        let text = error.to_string();
        assert!(text.contains("dms.csv has no column channel; is it channel_id?"), "{text}");
    }

    #[test]
    fn a_quote_that_is_not_closed_does_not_take_the_file_with_it() {
        let text = format!("id\n\"{}", "x\n".repeat(LINE));
        let input = Input { path: "it".into(), form: csv(&[("channel", "id")]) };
        let mut calls = input.read(text.as_bytes()).unwrap();
        assert!(calls.next().unwrap_err().to_string().contains("is a quote not closed?"));
    }
}
