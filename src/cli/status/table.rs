//! Columns that are as wide as what stands in them.

/// Which side of a column its cells keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// The rows as lines, the first of them the header. Control characters, which could move the
/// cursor or colour what follows, are left out.
pub(super) fn table<const N: usize>(align: [Align; N], rows: &[[String; N]]) -> Vec<String> {
    let rows: Vec<[String; N]> =
        rows.iter().map(|row| row.each_ref().map(|cell| shown(cell))).collect();
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).zip(align).map(|((cell, width), align)| match align {
            Align::Left => format!("{cell:<width$}"),
            Align::Right => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The text without what a terminal would not show as it is: control characters, and those that
/// turn the direction of what follows.
pub(super) fn shown(text: &str) -> String {
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
            table([Align::Left, Align::Right], &rows),
            ["NAME       HELD", "a[31mé        1", "long name  1000"]
        );
        assert_eq!(shown("a\u{202e}b\u{9b}c\u{7f}\r\n\td"), "abcd");
    }
}
