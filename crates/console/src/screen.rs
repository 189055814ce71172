//! A page on the terminal that is drawn again and again in the same place.

use std::io::{self, IsTerminal, Write};

use config::environment;
use rustix::termios::tcgetwinsize;

/// The terminal of standard output.
#[derive(Debug)]
pub struct Screen {
    /// The lines of the page that stands there.
    drawn: usize,
    /// Whether colours are welcome.
    pub colours: bool,
}

/// The cursor is hidden, and lines are not wrapped: a wrapped one would be two, and the next page would
/// be drawn one line too low. They are cut beforehand, but for characters that take two columns.
const BEGIN: &str = "\x1b[?25l\x1b[?7l";
/// Both as they were.
const END: &str = "\x1b[?7h\x1b[?25h";

// === impl Screen ===

impl Screen {
    /// None where standard output is no terminal, or one that can only be written to line by line.
    pub fn look() -> Option<Self> {
        let able = environment("TERM").is_none_or(|name| name != "dumb");
        // https://no-color.org
        let colours = environment("NO_COLOR").is_none_or(|it| it.is_empty());
        (able && io::stdout().is_terminal()).then_some(Self { drawn: 0, colours })
    }

    /// Columns and lines; 80 and 24 where nobody tells.
    pub fn size() -> (usize, usize) {
        match tcgetwinsize(io::stdout()) {
            Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
                (size.ws_col.into(), size.ws_row.into())
            }
            _ => (80, 24),
        }
    }

    /// The columns that a line may have; none where standard output is no terminal.
    pub fn width() -> Option<usize> {
        io::stdout().is_terminal().then(|| Self::size().0)
    }

    /// Draws the page in place of the one before. What is below the terminal's end is left out.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn draw(&mut self, out: &mut impl Write, page: &[String]) -> io::Result<()> {
        let (width, height) = Self::size();
        let up = match self.drawn {
            0 => String::new(),
            lines => format!("\r\x1b[{lines}A"),
        };
        let mut text = format!("{BEGIN}{up}");
        // The cursor stands below the page.
        self.drawn = page.len().min(height.saturating_sub(1));
        for line in &page[..self.drawn] {
            text.push_str(&cut(line, width));
            text.push_str("\x1b[K\n");
        }
        text.push_str("\x1b[J");
        // In one piece, so that nobody sees half a page.
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Gives the terminal back; the last page stays.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn end(out: &mut impl Write) -> io::Result<()> {
        out.write_all(END.as_bytes())?;
        out.flush()
    }
}

/// As much of the line as fits into so many columns, with all of its colours: what begins ends.
fn cut(line: &str, width: usize) -> String {
    let mut text = String::with_capacity(line.len());
    let (mut columns, mut in_code) = (0, false);
    for character in line.chars() {
        if character == '\x1b' {
            in_code = true;
        }
        if in_code {
            text.push(character);
            in_code = character != 'm';
        } else if columns < width {
            text.push(character);
            columns += 1;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_and_keeps_its_colours() {
        assert_eq!(cut("held: \x1b[31m12345\x1b[0m.", 8), "held: \x1b[31m12\x1b[0m");
        assert_eq!(cut("as it is", 8), "as it is");
        assert_eq!(cut("\x1b[32mé\x1b[0m", 0), "\x1b[32m\x1b[0m");
    }
}
