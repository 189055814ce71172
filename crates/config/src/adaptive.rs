//! `adaptive`: what is made of refusals that the limits do not explain.

use yaml::{Cursor, Report};

/// How limits are learnt from Slack's refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Adaptive {
    /// Whether a limit that is lower than configured is learnt.
    pub down: bool,
    /// Whether more than the configured limit is tried.
    pub up: bool,
    /// Up to what, in percent of the configured limit.
    pub ceiling: u32,
}

// === impl Adaptive ===

impl Default for Adaptive {
    fn default() -> Self {
        Self { down: true, up: false, ceiling: 200 }
    }
}

/// What the file says of it.
pub(super) fn read(root: Cursor<'_>, report: &mut Report) -> Adaptive {
    let mut adaptive = Adaptive::default();
    let Some(at) = root.get("adaptive") else { return adaptive };
    if let Some(down) = at.get("down").and_then(|at| at.read_bool(report)) {
        adaptive.down = down;
    }
    if let Some(up) = at.get("up").and_then(|at| at.read_bool(report)) {
        adaptive.up = up;
    }
    if let Some(percent) = at.get("ceiling").and_then(|at| ceiling(at, report)) {
        adaptive.ceiling = percent;
    }
    if let Some(up) = at.get("up").filter(|_| adaptive.up && !adaptive.down) {
        report.add(up, "needs adaptive.down, which finds back from a limit that is too high");
    }
    adaptive
}

fn ceiling(at: Cursor<'_>, report: &mut Report) -> Option<u32> {
    let times: Option<f64> = at.text()?.parse().ok();
    let times = times.filter(|times| (1.0..=10.0).contains(times));
    if times.is_none() {
        let text =
            "is no ceiling; write by how much the limit may be multiplied, from 1 to 10, as in 2.0";
        report.add(at, format!("{} {text}", at.quoted()));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is from 100 to 1000"
    )]
    times.map(|times| (times * 100.0).round() as u32)
}
