//! Reads a scenario file: its variants, each checked, or what is wrong with it.

use std::{fs, path::Path};

use serde_yaml::Value;

use super::Scenario;
use crate::scenarios::{measures::Measure, text::Figure};

/// A scenario with one combination of what varies.
pub(in crate::scenarios) struct Variant {
    /// What varies, as `limits.tier.limit=20`.
    pub(in crate::scenarios) label: String,
    pub(in crate::scenarios) scenario: Scenario,
}

/// Reads a file into its variants; an error names the file and the key.
pub(in crate::scenarios) fn read(path: &Path) -> Result<Vec<Variant>, String> {
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    let text = fs::read_to_string(path).map_err(|error| format!("{file}: {error}"))?;
    parse(&file, &text)
}

/// Reads a file's text.
pub(in crate::scenarios) fn parse(file: &str, text: &str) -> Result<Vec<Variant>, String> {
    let at = |key: &str, error: String| format!("{file}: {key}: {error}");
    if !text.starts_with("# ") {
        return Err(format!("{file}: it begins with a comment on what it shows and why"));
    }
    let base: Scenario = serde_yaml::from_str(text).map_err(|error| format!("{file}: {error}"))?;
    let tree: Value = serde_yaml::from_str(text).map_err(|error| format!("{file}: {error}"))?;
    let mut trees = vec![(Vec::new(), tree)];
    for (key, values) in &base.vary {
        let mut varied = Vec::new();
        for (labels, tree) in trees {
            for value in values {
                let mut tree = tree.clone();
                put(&mut tree, key, value).map_err(|error| at(key, error))?;
                let shown = serde_yaml::to_string(value).map_err(|e| at(key, e.to_string()))?;
                let mut labels: Vec<String> = labels.clone();
                labels.push(format!("{key}={}", shown.trim_end()));
                varied.push((labels, tree));
            }
        }
        trees = varied;
    }
    let variant = |(labels, tree): (Vec<String>, Value)| {
        let label = labels.join(" ");
        let scenario: Scenario =
            serde_yaml::from_value(tree).map_err(|error| at(&label, error.to_string()))?;
        scenario.check().map_err(|error| format!("{file}: {error}"))?;
        Ok(Variant { label, scenario })
    };
    trees.into_iter().map(variant).collect()
}

/// Puts a value in place of the one that a path of keys, and of places in lists, leads to.
fn put(tree: &mut Value, path: &str, value: &Value) -> Result<(), String> {
    let mut place = tree;
    for key in path.split('.') {
        let next = match key.parse::<usize>() {
            Ok(nth) => place.get_mut(nth),
            Err(_) => place.get_mut(key),
        };
        place = next.ok_or_else(|| format!("there is no `{key}` to vary"))?;
    }
    *place = value.clone();
    Ok(())
}

// === impl Scenario ===

impl Scenario {
    /// Whether all that is named is there.
    fn check(&self) -> Result<(), String> {
        let limit = |at: &str, name: &String| {
            let known = self.limits.contains_key(name);
            known.then_some(()).ok_or_else(|| format!("{at}: no limit is called `{name}`"))
        };
        let method = |at: &str, name: &String| {
            let known = self.methods.contains_key(name);
            known.then_some(()).ok_or_else(|| format!("{at}: no method is called `{name}`"))
        };
        let caller = |at: &str, name: &String| {
            let known = self.callers.contains_key(name);
            known.then_some(()).ok_or_else(|| format!("{at}: no caller is called `{name}`"))
        };
        for (name, spec) in &self.limits {
            let rate = spec.limit.is_some() && spec.per.is_some();
            let kinds = [rate, spec.concurrency.is_some(), spec.in_order.is_some()];
            if kinds.into_iter().filter(|is| *is).count() != 1 || spec.limit == Some(0) {
                let kinds = "`limit` and `per`, or `concurrency`, or `in_order`";
                return Err(format!("limits.{name}: either {kinds}"));
            }
        }
        for (name, limits) in &self.methods {
            limits.iter().try_for_each(|of| limit(&format!("methods.{name}"), of))?;
        }
        for (name, spec) in &self.callers {
            method(&format!("callers.{name}.method"), &spec.method)?;
        }
        for surprise in &self.server.surprises {
            limit("server.surprises.limit", &surprise.limit)?;
        }
        for closes in &self.server.closes {
            method("server.closes.method", &closes.method)?;
        }
        for (i, band) in self.bands.iter().enumerate() {
            let at = format!("bands[{i}]");
            band.of.iter().try_for_each(|of| caller(&format!("{at}.of"), of))?;
            band.limit.iter().try_for_each(|of| limit(&format!("{at}.limit"), of))?;
            let without = format!("{at}.beside_without");
            band.beside_without.iter().try_for_each(|of| caller(&without, of))?;
            let limits = band.limit.iter().map(|name| &self.limits[name]);
            let rated = limits.filter(|spec| spec.per.is_some()).count() > 0;
            if band.measure == Measure::Goodput && !rated
                || band.measure == Measure::MostWithin && !rated && band.within.is_none()
            {
                return Err(format!("{at}.limit: it is measured against a rate"));
            }
            if band.least.is_none() && band.most.is_none() {
                return Err(format!("{at}: neither `least` nor `most`"));
            }
            for figure in band.least.iter().chain(&band.most) {
                if let Figure::Slots { limit: of, .. } = figure {
                    limit(&at, of)?;
                }
            }
        }
        Ok(())
    }
}
