//! Durations and sizes as people write them: `1m30s`, `250ms`, `32MiB`.

use std::time::Duration;

/// The longest duration that can be written: a year of 365 days.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// A time of day's units, largest first, in nanoseconds.
const UNITS: [(&str, u128); 4] =
    [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000)];

/// What is wrong with a duration. Says what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// A number stands alone.
    #[error("has no unit; write ms, s, m or h after the number, as in 10s")]
    NoUnit,
    /// Something else than `ms`, `s`, `m` or `h`.
    #[error("has an unknown unit; the units are ms, s, m and h, as in 1h30m")]
    UnknownUnit,
    /// A unit twice, or a smaller one before a larger one.
    #[error("has its units out of order; write the larger first and each once, as in 1h30m")]
    Order,
    /// No number where one belongs, a fraction before the last unit, or one too fine.
    #[error("is not a duration; write a number and its unit, as in 10s, 1.5s or 1h30m")]
    Number,
    /// Nothing, where it has to be something.
    #[error("is no time at all; write more than 0, as in 6s")]
    Zero,
    /// Longer than anything here can wait.
    #[error("is too long; the longest is 8760h")]
    TooLong,
}

/// What is wrong with a size. Says what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// A number stands alone.
    #[error("has no unit; write B, KiB, MiB or GiB after the number, as in 32MiB")]
    NoUnit,
    /// Something else than `B`, `KiB`, `MiB` or `GiB`.
    #[error("has an unknown unit; the units are B, KiB, MiB and GiB, each 1024 of the one before")]
    UnknownUnit,
    /// No whole number where one belongs.
    #[error("is not a size; write a whole number and its unit, as in 32MiB")]
    Number,
    /// More bytes than can be counted.
    #[error("is too large")]
    TooLarge,
}

/// Reads a duration: one or more of `h`, `m`, `s`, `ms`, the larger first, each once, without
/// spaces; the last may have a fraction of up to nine digits.
///
/// # Errors
/// [`DurationError`], which says what to write instead.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let mut rest = text;
    let mut total: u128 = 0;
    let mut next_unit = 0;
    loop {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("0", after),
        };
        if whole.is_empty() || fraction.is_empty() {
            return Err(DurationError::Number);
        }
        let unit_len = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_len);
        if unit.is_empty() {
            return Err(DurationError::NoUnit);
        }
        let index = UNITS.iter().position(|(name, _)| *name == unit);
        let index = index.ok_or(DurationError::UnknownUnit)?;
        if index < next_unit {
            return Err(DurationError::Order);
        }
        next_unit = index + 1;
        total = whole
            .parse::<u64>()
            .ok()
            .and_then(|whole| u128::from(whole).checked_mul(UNITS[index].1))
            .and_then(|nanos| nanos.checked_add(total))
            .ok_or(DurationError::TooLong)?;
        if after.is_empty() {
            total += fraction_of(fraction, UNITS[index].1)?;
            break;
        }
        if fraction != "0" {
            return Err(DurationError::Number);
        }
        rest = after;
    }
    let nanos = u64::try_from(total).map_err(|_| DurationError::TooLong)?;
    let duration = Duration::from_nanos(nanos);
    if duration > LONGEST { Err(DurationError::TooLong) } else { Ok(duration) }
}

/// Reads a duration as [`parse_duration`] does, where none at all makes no sense.
///
/// # Errors
/// [`DurationError`], which says what to write instead.
pub fn parse_some_duration(text: &str) -> Result<Duration, DurationError> {
    let duration = parse_duration(text)?;
    if duration.is_zero() { Err(DurationError::Zero) } else { Ok(duration) }
}

/// Writes a duration so that [`parse_duration`] reads the same one.
pub fn show_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    if nanos < 1_000_000_000 {
        return with_fraction(nanos, 1_000_000, "ms");
    }
    let (hours, nanos) = (nanos / UNITS[0].1, nanos % UNITS[0].1);
    let (minutes, nanos) = (nanos / UNITS[1].1, nanos % UNITS[1].1);
    let parts = [
        (hours > 0).then(|| format!("{hours}h")),
        (minutes > 0).then(|| format!("{minutes}m")),
        (nanos > 0).then(|| with_fraction(nanos, 1_000_000_000, "s")),
    ];
    parts.into_iter().flatten().collect()
}

/// Reads a size in bytes: a whole number and `B`, `KiB`, `MiB` or `GiB`.
///
/// # Errors
/// [`SizeError`], which says what to write instead.
pub fn parse_size(text: &str) -> Result<usize, SizeError> {
    let (number, unit) = digits(text);
    if number.is_empty() {
        return Err(SizeError::Number);
    }
    let shift = match unit.trim_start() {
        "" => return Err(SizeError::NoUnit),
        "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        unit if unit.starts_with('.') => return Err(SizeError::Number),
        _ => return Err(SizeError::UnknownUnit),
    };
    let number: usize = number.parse().map_err(|_| SizeError::TooLarge)?;
    number.checked_mul(1 << shift).ok_or(SizeError::TooLarge)
}

/// The leading digits of a text, and the rest.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// `0.fraction` of a unit, where it comes out in whole nanoseconds.
fn fraction_of(fraction: &str, unit: u128) -> Result<u128, DurationError> {
    if fraction.len() > 9 {
        return Err(DurationError::Number);
    }
    let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
    let numerator = fraction.parse::<u128>().map_err(|_| DurationError::Number)? * unit;
    if numerator.is_multiple_of(scale) { Ok(numerator / scale) } else { Err(DurationError::Number) }
}

/// `nanos` in a unit, with as many decimals as it needs.
fn with_fraction(nanos: u128, unit: u128, name: &str) -> String {
    let (whole, rest) = (nanos / unit, nanos % unit);
    if rest == 0 {
        return format!("{whole}{name}");
    }
    let width = unit.ilog10() as usize;
    let decimals = format!("{rest:0width$}");
    format!("{whole}.{}{name}", decimals.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, millis) in [
            ("0s", 0),
            ("10s", 10_000),
            ("250ms", 250),
            ("1.5s", 1_500),
            ("1h", 3_600_000),
            ("1h30m", 5_400_000),
            ("90m", 5_400_000),
            ("1m0.5s", 60_500),
            ("0.25h", 900_000),
            ("8760h", 31_536_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn bad_durations_say_what_is_wrong() {
        use DurationError::{NoUnit, Number, Order, TooLong, UnknownUnit};
        for (text, error) in [
            ("", Number),
            ("10", NoUnit),
            ("1m30", NoUnit),
            ("1d", UnknownUnit),
            ("10 s", UnknownUnit),
            ("10sec", UnknownUnit),
            ("10S", UnknownUnit),
            ("s", Number),
            ("-1s", Number),
            ("1.s", Number),
            (".5s", Number),
            ("1.5m3s", Number),
            ("0.0000001ms", Number),
            ("30s1m", Order),
            ("1s1s", Order),
            ("8761h", TooLong),
            ("99999999999999999999s", TooLong),
            ("18446744073709551615h", TooLong),
        ] {
            assert_eq!(parse_duration(text), Err(error), "{text}");
        }
    }

    #[test]
    fn durations_are_written_as_people_do() {
        for text in ["0s", "10s", "250ms", "1.5s", "1h", "1h30m", "1m0.5s", "16.666666ms"] {
            assert_eq!(show_duration(parse_duration(text).unwrap()), text);
        }
    }

    #[test]
    fn sizes_are_read() {
        assert_eq!(parse_size("32MiB"), Ok(32 << 20));
        assert_eq!(parse_size("1 GiB"), Ok(1 << 30));
        assert_eq!(parse_size("0B"), Ok(0));
        assert_eq!(parse_size("10"), Err(SizeError::NoUnit));
        assert_eq!(parse_size("10MB"), Err(SizeError::UnknownUnit));
        assert_eq!(parse_size("1.5MiB"), Err(SizeError::Number));
        assert_eq!(parse_size("MiB"), Err(SizeError::Number));
        assert_eq!(parse_size("99999999999GiB"), Err(SizeError::TooLarge));
    }

    proptest! {
        #[test]
        fn a_written_duration_reads_as_itself(nanos in 0..=31_536_000_000_000_000_u64) {
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[0-9hms.]{0,24}|.{0,12}") {
            let _ = parse_duration(&text);
            let _ = parse_size(&text);
        }
    }
}
