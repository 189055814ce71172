//! The names nearest to a misspelt one.

/// Below this likeness a name is no help.
const ALIKE: f64 = 0.8;

/// Up to `count` of the names that look like `word`, the likest first.
pub fn nearest<'a>(
    word: &str,
    names: impl IntoIterator<Item = &'a str>,
    count: usize,
) -> Vec<&'a str> {
    let mut alike: Vec<(f64, &str)> = names
        .into_iter()
        .map(|name| (likeness(word, name), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    alike.sort_by(|(a, a_name), (b, b_name)| b.total_cmp(a).then(a_name.cmp(b_name)));
    alike.into_iter().take(count).map(|(_, name)| name).collect()
}

/// From 0 to 1. A name that holds the word is like it too: `depth` is like `max_depth`.
fn likeness(word: &str, name: &str) -> f64 {
    let likeness = strsim::jaro_winkler(word, name);
    if word.len() >= 3 && name.contains(word) { likeness.max(ALIKE) } else { likeness }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likest_comes_first() {
        let names = ["conversations.close", "conversations.create", "chat.delete"];
        assert_eq!(
            nearest("conversation.close", names, 2),
            ["conversations.close", "conversations.create"]
        );
        assert_eq!(nearest("depth", ["max_depth", "max_total"], 3), ["max_depth"]);
        assert_eq!(nearest("zzz", names, 3), [] as [&str; 0]);
    }
}
