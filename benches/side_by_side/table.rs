//! The tables: medians over rounds, ratios taken within a round.

use std::time::Duration;

use crate::load::Seen;

/// One candidate under one load in one round.
pub(crate) struct Sample {
    pub(crate) seen: Seen,
    /// CPU time of the proxy, and its busiest thread's part; nothing without a proxy.
    pub(crate) cpu: Option<(Duration, f64)>,
}

/// A candidate's samples under one load, by round.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) samples: Vec<Sample>,
}

/// Prints what one load showed. The first row is the way without a proxy; ratios are to the rows
/// named in `references`.
#[expect(clippy::print_stdout, reason = "the bench's result")]
pub(crate) fn print(title: &str, rows: &[Row], references: &[&str]) {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let is_reference = |row: &&Row| references.contains(&row.name.as_str());
    let references: Vec<&Row> = rows.iter().filter(is_reference).collect();
    println!("\n{title}\n");
    print!("| {:width$} | CPU µs/call: min | median |    max |", "");
    for reference in &references {
        print!(" x {} |", reference.name);
    }
    println!(" busiest thread: median, max | calls/s | p50 µs | p99 µs | p50 added | p99 added |");
    print!("|-{:-<width$}-|-----------------:|-------:|-------:|", "");
    for reference in &references {
        print!("--{:->1$}:|", "", reference.name.len() + 1);
    }
    println!("----------------------------:|--------:|-------:|-------:|----------:|----------:|");
    for row in rows {
        let cpu = sorted(row.samples.iter().map(Sample::cpu_per_call));
        print!(
            "| {:width$} | {:>16.2} | {:>6.2} | {:>6.2} |",
            row.name,
            cpu.first().unwrap_or(&f64::NAN),
            median(&cpu),
            cpu.last().unwrap_or(&f64::NAN),
        );
        for reference in &references {
            let ratio = row.against(reference, |own, its| own.cpu_per_call() / its.cpu_per_call());
            print!(" {:>1$.2} |", ratio, reference.name.len() + 2);
        }
        let busiest = sorted(row.samples.iter().map(Sample::busiest));
        let of = |field: fn(&Sample) -> f64| median(&sorted(row.samples.iter().map(field)));
        println!(
            " {:>19.0} %, {:>3.0} % | {:>7.0} | {:>6.0} | {:>6.0} | {:>9.0} | {:>9.0} |",
            median(&busiest),
            busiest.last().unwrap_or(&f64::NAN),
            of(|sample| sample.seen.rate),
            of(|sample| sample.seen.p50),
            of(|sample| sample.seen.p99),
            row.against(&rows[0], |own, direct| own.seen.p50 - direct.seen.p50),
            row.against(&rows[0], |own, direct| own.seen.p99 - direct.seen.p99),
        );
    }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

// === impl Sample ===

impl Sample {
    fn cpu_per_call(&self) -> f64 {
        self.cpu.map_or(f64::NAN, |(used, _)| used.as_secs_f64() * 1e6 / f64::from(self.seen.calls))
    }
    fn busiest(&self) -> f64 {
        self.cpu.map_or(f64::NAN, |(_, busiest)| busiest * 100.0)
    }
}

// === impl Row ===

impl Row {
    /// The median over rounds of a comparison with another row in the same round.
    fn against(&self, other: &Self, compare: impl Fn(&Sample, &Sample) -> f64) -> f64 {
        let pairs = self.samples.iter().zip(&other.samples);
        median(&sorted(pairs.map(|(own, its)| compare(own, its))))
    }
}
