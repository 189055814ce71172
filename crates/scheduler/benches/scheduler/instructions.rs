//! How many instructions a step takes.
//!
//! Unlike its time, that is hardly another one on a busy machine: two runs differ by less than a
//! thousandth, by the seeds of the hashes. So a change is seen that costs one in a hundred.

use crate::{
    callgrind::{HINT, callgrind, counted},
    line::{Line, Step},
    meter::{COUNTED, Counter},
    shape::Shape,
};

/// Steps to be counted.
pub(crate) struct Asked {
    shape: Shape,
    step: Step,
}

/// What the bench is asked for.
const ASK: &str = "--instructions";

/// What a child of the bench is asked for, which callgrind watches.
const ASK_CHILD: &str = "--take";

/// How many calls are held. With more of them it takes longer, and the counts are hardly others.
const HELD: usize = 1_000;

/// How many steps are counted.
const TIMES: u64 = 4_096;

/// Whether instructions are to be counted.
pub(crate) fn is_asked(args: &[String]) -> bool {
    args.iter().any(|arg| arg == ASK)
}

/// What a child of the bench is asked for.
pub(crate) fn asked(args: &[String]) -> Option<Asked> {
    let at = args.iter().position(|arg| arg == ASK_CHILD)?;
    let shape = Shape::ALL.into_iter().find(|shape| shape.name() == args[at + 1])?;
    let step = Step::ALL.into_iter().find(|step| step.name() == args[at + 2])?;
    Some(Asked { shape, step })
}

/// Takes steps while callgrind counts, and prints how many.
pub(crate) fn take(asked: &Asked) {
    let mut line = match asked.step {
        Step::Answer | Step::Grant => Line::open(asked.shape, HELD),
        _ => Line::shut(asked.shape, HELD),
    };
    println!("{}", line.run(asked.step, TIMES, &mut Counter));
}

/// Prints how many instructions each step of each shape takes.
pub(crate) fn table() {
    print!("{:18}", "instructions");
    for step in Step::ALL {
        print!(" {:>7}", step.name());
    }
    println!();
    for shape in Shape::ALL.into_iter().filter(|shape| HELD >= shape.least()) {
        print!("{:18}", shape.name());
        for step in Step::ALL {
            print!(" {:>7}", count(shape, step));
        }
        println!();
    }
}

fn count(shape: Shape, step: Step) -> u64 {
    // What is found there can be read with callgrind_annotate.
    let dir = env!("CARGO_TARGET_TMPDIR");
    let out = format!("{dir}/{}.{}.callgrind", shape.name(), step.name());
    let child = callgrind(&out, &[&format!("--toggle-collect={COUNTED}")])
        .arg(std::env::current_exe().unwrap())
        .args([ASK_CHILD, shape.name(), step.name()])
        .output()
        .unwrap_or_else(|_| panic!("{HINT}"));
    let taken: u64 = String::from_utf8_lossy(&child.stdout).trim().parse().unwrap();
    counted(&out).unwrap() / taken
}
