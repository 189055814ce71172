//! Runs a scenario in all its variants and holds its bands against what was measured.

use std::fmt;

use super::{
    driver,
    file::{Band, Variant},
    measures::View,
    record::Record,
    text::Figure,
    world::World,
};

/// A measure of a run beside its band.
pub(super) struct Finding {
    label: String,
    band: Band,
    value: f64,
    least: Option<f64>,
    most: Option<f64>,
}

/// Runs a variant and measures all that it has bands for.
pub(super) fn findings(variant: &Variant) -> Vec<Finding> {
    let world = World::new(&variant.scenario, None);
    let record = driver::run(&world);
    let mut others: Vec<(&str, World, Record)> = Vec::new();
    let mut findings = Vec::new();
    for band in &variant.scenario.bands {
        let mut values = View::new(&world, &record, band).values();
        if let Some(without) = band.beside_without.as_deref() {
            if !others.iter().any(|(name, ..)| *name == without) {
                let world = World::new(&variant.scenario, Some(without));
                let record = driver::run(&world);
                others.push((without, world, record));
            }
            for (_, world, record) in others.iter().filter(|(name, ..)| *name == without) {
                let beside = View::new(world, record, band).values();
                values.iter_mut().zip(beside).for_each(|(value, beside)| *value -= beside);
            }
        }
        findings.push(Finding::new(variant, &world, band, &values));
    }
    findings
}

// === impl Finding ===

impl Finding {
    /// Of several values the one that is furthest out of the band, or nearest to its edge.
    fn new(variant: &Variant, world: &World, band: &Band, values: &[f64]) -> Self {
        let figure = |figure: &Figure| match figure {
            Figure::Plain(figure) => *figure,
            Figure::Slots { times, limit } => times * world.slot(limit).as_secs_f64(),
        };
        let (least, most) = (band.least.as_ref().map(figure), band.most.as_ref().map(figure));
        let spare = |value: &f64| {
            let below = least.map_or(f64::INFINITY, |least| value - least);
            below.min(most.map_or(f64::INFINITY, |most| most - value))
        };
        let worst = values.iter().min_by(|a, b| spare(a).total_cmp(&spare(b)));
        let unmeasured = values.iter().any(|value| value.is_nan());
        let value = if unmeasured { f64::NAN } else { worst.copied().unwrap_or(f64::NAN) };
        Self { label: variant.label.clone(), band: band.clone(), value, least, most }
    }

    /// Whether the measure is in its band. One that could not be taken is not.
    pub(super) fn holds(&self) -> bool {
        let above = self.least.is_none_or(|least| self.value >= least);
        !self.value.is_nan() && above && self.most.is_none_or(|most| self.value <= most)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { label, band, value, least, most } = self;
        let measure = band.measure;
        f.write_str(if self.holds() { "    holds  " } else { "    FAILS  " })?;
        if !label.is_empty() {
            write!(f, "[{label}] ")?;
        }
        f.write_str(&measure.name())?;
        for (word, name) in [("of", &band.of), ("in", &band.limit)] {
            name.iter().try_for_each(|name| write!(f, " {word} {name}"))?;
        }
        band.beside_without.iter().try_for_each(|who| write!(f, " beside without {who}"))?;
        band.within.iter().try_for_each(|within| write!(f, " within {:?}", within.0))?;
        write!(f, " is {}", measure.show(*value))?;
        least.iter().try_for_each(|least| write!(f, ", at least {}", measure.show(*least)))?;
        most.iter().try_for_each(|most| write!(f, ", at most {}", measure.show(*most)))
    }
}
