//! How much memory a held call has in the scheduler.
//!
//! What is resident before and after, in a process of its own for each: what was freed by one
//! would be used again by the next, unseen.

use std::process::Command;

use crate::{line::Line, shape::Shape};

/// A queue to be weighed.
pub(crate) struct Asked {
    shape: Shape,
    held: usize,
}

const ASK: &str = "--weigh";

/// What a child of the bench is asked for.
pub(crate) fn asked(args: &[String]) -> Option<Asked> {
    let at = args.iter().position(|arg| arg == ASK)?;
    let shape = Shape::ALL.into_iter().find(|shape| shape.name() == args[at + 1])?;
    Some(Asked { shape, held: args[at + 2].parse().ok()? })
}

/// Prints the bytes per held call.
pub(crate) fn print(asked: &Asked) {
    let mut line = Line::full(asked.shape, asked.held);
    let before = resident();
    line.hold(asked.held);
    let grown = resident().saturating_sub(before);
    // The bench keeps its tickets.
    let own = asked.held * size_of::<(slackwater_scheduler::Ticket, usize)>();
    println!("{}", grown.saturating_sub(own) / asked.held);
}

/// Prints the bytes per held call of each shape.
pub(crate) fn table(sizes: &[usize]) {
    println!("\nbytes per held call");
    for shape in Shape::ALL {
        for held in sizes.iter().filter(|held| **held >= shape.least()) {
            let child = Command::new(std::env::current_exe().unwrap())
                .args([ASK, shape.name(), &held.to_string()])
                .output()
                .unwrap();
            let bytes = String::from_utf8_lossy(&child.stdout);
            println!("  {:18} {held:>9} {:>6}", shape.name(), bytes.trim());
        }
    }
}

/// Resident memory, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
