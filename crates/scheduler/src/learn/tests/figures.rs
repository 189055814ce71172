//! The figures of a flood, and the bands in which they have to be.

use super::{Count, Play, Shape};

/// What came of a flood.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// Surprises in the first ten windows.
    surprises: u32,
    /// The part of the calls that was refused after these.
    refused: f64,
    /// What went from the tenth window on, and from the fiftieth, as a part of what is possible.
    tenth: f64,
    fiftieth: f64,
    /// The fastest pace, as a part of the documented one.
    most: f64,
}

// === impl Figures ===

impl Figures {
    fn of(play: &Play, counts: &[Count]) -> Self {
        let sum = |counts: &[Count], of: fn(&Count) -> u32| counts.iter().map(of).sum::<u32>();
        let accepted = |from: usize, to: usize| {
            let windows = f64::from(u32::try_from(to - from).unwrap());
            let accepted = f64::from(sum(&counts[from..to], |count| count.accepted));
            accepted / windows / play.possible()
        };
        let all = sum(&counts[10..], |count| count.accepted + count.refused);
        let most = counts.iter().map(|count| count.most).max().unwrap();
        Self {
            surprises: sum(&counts[..10], |count| count.surprises),
            refused: f64::from(sum(&counts[10..], |count| count.refused)) / f64::from(all),
            // One call more or less is a tenth of ten.
            tenth: accepted(9, if play.quota < 10 { 29 } else { 14 }),
            fiftieth: accepted(50, counts.len()),
            most: f64::from(u32::try_from(most).unwrap()) / 1000.0 / f64::from(play.quota),
        }
    }

    /// Whether they are in the bands. One kind of server is wrong in two ways at once: it has a longer
    /// period, and its edges are at fixed times. Of the 121 calls of a quota of one, one more is 0.8 %.
    fn hold(&self, play: &Play) -> bool {
        let is_slow = play.shape == Shape::Clock && play.percent < 100 && play.quota == 1;
        let refused = if is_slow { 0.015 } else { 0.005 };
        self.surprises <= 3
            && self.refused <= refused
            && self.tenth >= 0.9
            && self.fiftieth >= 0.98
            && self.most <= 1.0
    }
}

/// Plays them all, and fails with those whose figures are not in the bands. Prints the worst of
/// each limit and shape.
pub(crate) fn hold(plays: &[Play], run: impl Fn(&Play) -> Vec<Count>) {
    let mut table: Vec<((u32, u32, Shape), Figures)> = Vec::new();
    let mut wrong = Vec::new();
    for play in plays {
        let figures = Figures::of(play, &run(play));
        if !figures.hold(play) {
            wrong.push(format!("{figures:?} of {play:?}"));
        }
        let line = (play.quota, play.percent, play.shape);
        match table.last_mut().filter(|(last, _)| *last == line) {
            Some((_, worst)) => {
                *worst = Figures {
                    surprises: worst.surprises.max(figures.surprises),
                    refused: worst.refused.max(figures.refused),
                    tenth: worst.tenth.min(figures.tenth),
                    fiftieth: worst.fiftieth.min(figures.fiftieth),
                    most: worst.most.max(figures.most),
                }
            }
            None => table.push((line, figures)),
        }
    }
    for ((quota, percent, shape), figures) in table {
        let Figures { surprises, refused, tenth, fiftieth, .. } = figures;
        println!(
            "{quota:>4} {percent:>4} %  {:<12} {surprises} surprises, {:.2} % refused, {:.1} % in the \
             tenth, {:.1} % after fifty",
            format!("{shape:?}"),
            refused * 100.0,
            tenth * 100.0,
            fiftieth * 100.0,
        );
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), plays.len(), wrong.join("\n"));
}
