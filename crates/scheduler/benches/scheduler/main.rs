//! What a call costs in the scheduler, and how that grows with the calls that are held.
//!
//! Each shape of calls is measured with a thousand, a hundred thousand and a million of them
//! held. Within a sample only the step in question is timed; what it took away is put back in
//! between, so that the queue is as long at the end as at the beginning.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a bench ends where it cannot go on, and prints what it found"
)]
#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "numbers of calls are small"
)]

#[path = "../../../../benches/callgrind.rs"]
mod callgrind;
mod instructions;
mod line;
mod memory;
mod meter;
mod shape;

use std::{
    cell::{OnceCell, RefCell},
    time::Duration,
};

use criterion::{Criterion, SamplingMode};

use crate::{
    line::{Line, Step},
    shape::Shape,
};

/// How many calls are held.
const HELD: [usize; 3] = [1_000, 100_000, 1_000_000];

fn main() {
    let args: Vec<_> = std::env::args().collect();
    if let Some(asked) = memory::asked(&args) {
        return memory::print(&asked);
    }
    if let Some(asked) = instructions::asked(&args) {
        return instructions::take(&asked);
    }
    if instructions::is_asked(&args) {
        return instructions::table();
    }
    // `cargo test --all-targets` starts benches too: it sees that each one runs, with few calls.
    let measures = args.iter().any(|arg| arg == "--bench");
    let sizes = if measures { &HELD[..] } else { &HELD[..1] };
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for shape in Shape::ALL {
        for &held in sizes.iter().filter(|held| **held >= shape.least()) {
            measure(&mut criterion, shape, held);
        }
    }
    criterion.final_summary();
    // A name after `--` chooses benches; memory is asked for by its own.
    if measures && args.iter().all(|arg| arg.starts_with('-') || *arg == args[0]) {
        memory::table(&HELD);
    }
}

/// Measures every step of one shape. A line is made when the first step that was chosen needs it.
fn measure(criterion: &mut Criterion, shape: Shape, held: usize) {
    let shut = OnceCell::new();
    let open = OnceCell::new();
    let mut group = criterion.benchmark_group(shape.name());
    group.sampling_mode(SamplingMode::Flat);
    for step in Step::ALL {
        group.bench_function(format!("{}/{held}", step.name()), |bencher| {
            let line = match step {
                Step::Answer | Step::Grant => {
                    open.get_or_init(|| RefCell::new(Line::open(shape, held)))
                }
                _ => shut.get_or_init(|| RefCell::new(Line::shut(shape, held))),
            };
            bencher.iter_custom(|times| line.borrow_mut().time(step, times));
        });
    }
    group.finish();
}
