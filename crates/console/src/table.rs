//! Columns that are as wide as what stands in them, and lines that are no wider than the terminal.

use unicode_width::UnicodeWidthStr as _;

/// Which side of a column its cells keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Text.
    Left,
    /// Numbers.
    Right,
}

/// What stands before the cells that do not fit beside the others.
const INDENT: &str = "    ";
/// What stands between two cells.
const GAP: &str = "  ";

/// The rows as lines, the first of them the header. Cells that do not fit into `width` columns stand on
/// a line of their own below the others; where no width is given, each row is one line. Control
/// characters, which could move the cursor or colour what follows, are left out.
pub fn table<const N: usize>(
    align: [Align; N],
    rows: &[[String; N]],
    width: Option<usize>,
) -> Vec<String> {
    let rows: Vec<[String; N]> =
        rows.iter().map(|row| row.each_ref().map(|cell| shown(cell))).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (widest, cell) in widths.iter_mut().zip(row) {
            *widest = cell.width().max(*widest);
        }
    }
    let padded = |row: &[String; N]| -> Vec<String> {
        let cells = row.iter().zip(widths).zip(align).map(|((cell, width), align)| {
            // `format!` would count characters, of which some take two columns and some none.
            let space = " ".repeat(width.saturating_sub(cell.width()));
            match align {
                Align::Left => format!("{cell}{space}"),
                Align::Right => format!("{space}{cell}"),
            }
        });
        cells.collect()
    };
    rows.iter().flat_map(|row| fold(padded(row), GAP, width)).collect()
}

/// A sentence in lines that are no wider.
pub fn wrap(text: &str, width: Option<usize>) -> Vec<String> {
    fold(text.split(' ').map(str::to_owned), " ", width)
}

/// Pieces side by side, as many in each line as fit.
fn fold(pieces: impl IntoIterator<Item = String>, gap: &str, width: Option<usize>) -> Vec<String> {
    let width = width.unwrap_or(usize::MAX);
    let mut lines = Vec::with_capacity(1);
    let mut line = String::new();
    for cell in pieces {
        let takes = gap.len() + cell.trim_end().width();
        if line.is_empty() {
            line = cell;
        } else if line.width() + takes <= width || cell.trim().is_empty() {
            line.push_str(gap);
            line.push_str(&cell);
        } else {
            lines.push(line);
            line = format!("{INDENT}{}", cell.trim_start());
        }
    }
    lines.push(line);
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

/// The text without what a terminal would not show as it is: control characters, and those that
/// turn the direction of what follows.
pub fn shown(text: &str) -> String {
    let turns = |it: char| matches!(it, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|it| !it.is_control() && !turns(*it)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them() {
        let rows = [["NAME", "HELD"], ["a\x1b[31mé", "1"], ["long name", "1000"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        assert_eq!(
            table([Align::Left, Align::Right], &rows, None),
            ["NAME       HELD", "a[31mé        1", "long name  1000"]
        );
        assert_eq!(shown("a\u{202e}b\u{9b}c\u{7f}\r\n\td"), "abcd");
    }

    /// Red when characters are counted instead of the columns that they take.
    #[test]
    fn a_wide_character_takes_two_columns_and_an_accent_none() {
        let rows = [["NAME", "HELD", "X"], ["日本語", "1", "x"], ["cafe\u{301}", "20", "x"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        let align = [Align::Left, Align::Right, Align::Left];
        assert_eq!(
            table(align, &rows, None),
            ["NAME    HELD  X", "日本語     1  x", "cafe\u{301}      20  x"]
        );
        assert_eq!(wrap("日本 語", Some(6)), ["日本", "    語"]);
    }

    #[test]
    fn a_sentence_is_wrapped_between_words() {
        assert_eq!(wrap("one two three", Some(9)), ["one two", "    three"]);
        assert_eq!(wrap("one two three", None), ["one two three"]);
        assert_eq!(wrap("", Some(9)), [""]);
    }

    /// Red when cells are cut off, and when a line is wider than the terminal.
    #[test]
    fn what_does_not_fit_stands_below() {
        let rows = [["NAME", "HELD", "WHY"], ["a", "1", ""], ["name", "1000", "no slot is free"]];
        let rows = rows.map(|row| row.map(str::to_owned));
        let align = [Align::Left, Align::Right, Align::Left];
        assert_eq!(
            table(align, &rows, Some(20)),
            ["NAME  HELD  WHY", "a        1", "name  1000", "    no slot is free"]
        );
        assert_eq!(
            table(align, &rows, Some(8)),
            [
                "NAME",
                "    HELD",
                "    WHY",
                "a",
                "    1",
                "name",
                "    1000",
                "    no slot is free"
            ]
        );
    }
}
