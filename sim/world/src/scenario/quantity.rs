//! Quantities with units, as they are written in a scenario: `"150ms"`, `"1ms..3ms"`, `"20/s"`, `"64KiB"`, `"95 %"`, `"1..3"`.
//!
//! No floats: a decimal fraction is read exactly and refused if it is finer than the unit can hold. Each quantity also
//! writes itself back, in the largest unit that says it exactly, so that an export reads like a file made by hand.

use super::error::{Mistake, nearest, quoted};
use super::limits;

/// A range of whole numbers, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Range<T> {
    /// The least.
    pub min: T,
    /// The most.
    pub max: T,
}

/// So many in each span of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how many nanoseconds.
    pub per_ns: u64,
}

impl Rate {
    /// The time of the n-th one, counted from 0, in nanoseconds: exact, without drift.
    pub fn nth_ns(&self, n: u64) -> u64 {
        let ns = u128::from(n) * u128::from(self.per_ns) / u128::from(self.count);
        u64::try_from(ns).unwrap_or(u64::MAX)
    }
}

const NS: [(&str, u64); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("min", 60_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", DAY),
];
const DAY: u64 = 86_400_000_000_000;
const BYTES: [(&str, u64); 7] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

const DURATION: &str = "a duration with its unit, such as \"150ms\", \"2s\" or \"5min\"";
const SIZE: &str = "a size with its unit, such as \"512B\", \"64KiB\" or \"1MiB\"";
const RATE: &str = "a rate, such as \"20/s\" or \"100/min\"";
const COUNTS: &str = "a whole number or a range, such as 2 or \"1..3\"";
const PERCENT: &str = "a share, such as \"95 %\"";

/// `"150ms"` in nanoseconds.
pub fn duration(text: &str) -> Result<u64, Mistake> {
    let ns = in_units(text, &NS, DURATION)?;
    limits::virtual_time(ns).map(|()| ns)
}

/// `"1ms..3ms"`, or one duration for both ends.
pub fn durations(text: &str) -> Result<Range<u64>, Mistake> {
    range(text, duration)
}

/// `"64KiB"` in bytes.
pub fn bytes(text: &str) -> Result<u64, Mistake> {
    in_units(text, &BYTES, SIZE)
}

/// `"10B..1KiB"`, or one size for both ends.
pub fn sizes(text: &str) -> Result<Range<u64>, Mistake> {
    range(text, bytes)
}

/// `"1..3"`, or one number for both ends.
pub fn counts(text: &str) -> Result<Range<u32>, Mistake> {
    range(text, |text| text.parse().map_err(|_| not(text, COUNTS)))
}

/// `"20/s"`.
pub fn rate(text: &str) -> Result<Rate, Mistake> {
    let (count, per) = text.split_once('/').ok_or_else(|| not(text, RATE))?;
    let count = count.trim().parse().map_err(|_| not(text, RATE))?;
    if count == 0 {
        return Err(not(text, "a rate above zero, such as \"20/s\""));
    }
    let unit = unit(per.trim(), &NS, RATE)?;
    Ok(Rate {
        count,
        per_ns: unit,
    })
}

/// `"95 %"` in parts per million.
pub fn percent(text: &str) -> Result<u32, Mistake> {
    let number = text.strip_suffix('%').ok_or_else(|| not(text, PERCENT))?;
    let parts = scaled(number.trim(), 10_000).ok_or_else(|| not(text, PERCENT))?;
    match u32::try_from(parts) {
        Ok(parts) if parts <= 1_000_000 => Ok(parts),
        _ => Err(not(text, "a share of at most \"100 %\"")),
    }
}

/// `"2026-01-01T00:00:00Z"`, with or without milliseconds, in milliseconds since the epoch.
pub fn instant(text: &str) -> Result<i64, Mistake> {
    const INSTANT: &str = "an instant in UTC, such as \"2026-01-01T00:00:00Z\"";
    parse_instant(text).ok_or_else(|| not(text, INSTANT))
}

fn parse_instant(text: &str) -> Option<i64> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let (clock, ms) = match clock.split_once('.') {
        Some((clock, ms)) if ms.len() == 3 => (clock, ms.parse::<u32>().ok()?),
        Some(_) => return None,
        None => (clock, 0),
    };
    let [hour, minute, second] = numbers(clock, ':', [2, 2, 2])?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1970..=9999).contains(&year)
        || !(1..=length).contains(&day)
        || hour > 23
        || minute > 59
        || second > 59
    {
        return None;
    }
    let seconds = (days_since_epoch(year, month, day) * 24 + i64::from(hour)) * 3600
        + i64::from(minute * 60 + second);
    Some(seconds * 1000 + i64::from(ms))
}

fn numbers(text: &str, between: char, lengths: [usize; 3]) -> Option<[u32; 3]> {
    let mut parts = text.split(between);
    let mut out = [0; 3];
    for (slot, length) in out.iter_mut().zip(lengths) {
        let part = parts
            .next()
            .filter(|part| part.len() == length && part.bytes().all(|b| b.is_ascii_digit()))?;
        *slot = part.parse().ok()?;
    }
    parts.next().is_none().then_some(out)
}

/// Days of the Gregorian calendar, counted in years that begin in March so that the leap day comes last.
fn days_since_epoch(year: u32, month: u32, day: u32) -> i64 {
    let year = i64::from(year) - i64::from(month <= 2);
    let since_march = i64::from((month + 9) % 12);
    let day_of_year = (153 * since_march + 2) / 5 + i64::from(day) - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

/// Writes an instant back.
pub fn write_instant(ms: i64) -> String {
    let (days, mut rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let since_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * since_march + 2) / 5 + 1;
    let month = if since_march < 10 {
        since_march + 3
    } else {
        since_march - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let mut part = |size: i64| {
        let n = rest / size;
        rest %= size;
        n
    };
    let (hour, minute, second) = (part(3_600_000), part(60_000), part(1000));
    let fraction = if rest == 0 {
        String::new()
    } else {
        format!(".{rest:03}")
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// Writes nanoseconds in the largest unit that says them exactly.
pub fn write_duration(ns: u64) -> String {
    let units = [
        ("h", NS[7].1),
        ("min", NS[5].1),
        ("s", NS[4].1),
        ("ms", NS[3].1),
        ("us", NS[1].1),
        ("ns", 1),
    ];
    write_in(ns, &units, "0s")
}

/// Writes nanoseconds for people: seconds, milliseconds or microseconds, cut after three decimals.
pub fn show_duration(ns: u64) -> String {
    let units = [("s", NS[4].1), ("ms", NS[3].1), ("µs", NS[2].1)];
    let Some((name, unit)) = units.into_iter().find(|(_, unit)| ns >= *unit) else {
        return write_duration(ns);
    };
    let (whole, thousandths) = (ns / unit, ns % unit * 1_000 / unit);
    let decimals = format!(".{thousandths:03}");
    format!(
        "{whole}{}{name}",
        decimals.trim_end_matches('0').trim_end_matches('.')
    )
}

/// Writes both ends, or one if they are the same.
pub fn write_durations(range: Range<u64>) -> String {
    match range.min == range.max {
        true => write_duration(range.min),
        false => format!(
            "{}..{}",
            write_duration(range.min),
            write_duration(range.max)
        ),
    }
}

/// Writes bytes in the largest binary unit that says them exactly.
pub fn write_bytes(bytes: u64) -> String {
    write_in(
        bytes,
        &[
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1 << 10),
            ("B", 1),
        ],
        "0B",
    )
}

/// Writes both ends, or one if they are the same.
pub fn write_sizes(range: Range<u64>) -> String {
    match range.min == range.max {
        true => write_bytes(range.min),
        false => format!("{}..{}", write_bytes(range.min), write_bytes(range.max)),
    }
}

/// Writes a rate.
pub fn write_rate(rate: Rate) -> String {
    let unit = NS
        .iter()
        .find(|(_, ns)| *ns == rate.per_ns)
        .map_or("s", |(unit, _)| unit);
    format!("{}/{unit}", rate.count)
}

/// Writes parts per million as a percentage.
pub fn write_percent(ppm: u32) -> String {
    let fraction = format!("{:04}", ppm % 10_000);
    match fraction.trim_end_matches('0') {
        "" => format!("{} %", ppm / 10_000),
        fraction => format!("{}.{fraction} %", ppm / 10_000),
    }
}

fn write_in(amount: u64, units: &[(&str, u64)], zero: &str) -> String {
    match units
        .iter()
        .find(|(_, size)| amount != 0 && amount % size == 0)
    {
        Some((unit, size)) => format!("{}{unit}", amount / size),
        None => zero.into(),
    }
}

fn not(text: &str, expected: &str) -> Mistake {
    Mistake::new(quoted(text), expected)
}

fn range<T: PartialOrd + Copy>(
    text: &str,
    one: impl Fn(&str) -> Result<T, Mistake>,
) -> Result<Range<T>, Mistake> {
    let (min, max) = match text.split_once("..") {
        Some((min, max)) => (one(min.trim())?, one(max.trim())?),
        None => (one(text)?, one(text)?),
    };
    match min <= max {
        true => Ok(Range { min, max }),
        false => Err(not(text, "a range whose first end is the smaller one")),
    }
}

fn in_units(text: &str, units: &[(&str, u64)], expected: &str) -> Result<u64, Mistake> {
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, name) = (&text[..split], text[split..].trim());
    if number.is_empty() {
        return Err(not(text, expected));
    }
    if name.is_empty() {
        return Err(not(text, expected).hint("the unit is missing"));
    }
    let size = unit(name, units, expected)?;
    scaled(number, size).ok_or_else(|| {
        not(
            text,
            &format!("{expected}, whole in its smallest unit and not beyond all bounds"),
        )
    })
}

fn unit(name: &str, units: &[(&str, u64)], expected: &str) -> Result<u64, Mistake> {
    if let Some((_, size)) = units.iter().find(|(unit, _)| *unit == name) {
        return Ok(*size);
    }
    let names: Vec<&str> = units.iter().map(|(unit, _)| *unit).collect();
    let mistake = Mistake::new(format!("the unit {}", quoted(name)), expected);
    Err(match nearest(name, &names) {
        Some(near) => mistake.hint(format!("did you mean \"{near}\"?")),
        None => mistake.hint(format!("the units are {}", names.join(", "))),
    })
}

/// `number × size`, if that is a whole number that fits.
fn scaled(number: &str, size: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(fraction) || fraction.len() > 15 {
        return None;
    }
    let scale = 10u128.pow(u32::try_from(fraction.len()).expect("at most fifteen digits"));
    let parts = u128::from(fraction.parse::<u64>().expect("fifteen digits fit")) * u128::from(size);
    if parts % scale != 0 {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(size)?;
    whole.checked_add(u64::try_from(parts / scale).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_duration_is_exact_to_the_nanosecond() {
        assert_eq!(duration("150ms"), Ok(150_000_000));
        assert_eq!(duration("11.900s"), Ok(11_900_000_000));
        assert_eq!(duration("2 min"), Ok(120_000_000_000));
        assert_eq!(
            duration("0.5ns")
                .expect_err("finer than a nanosecond")
                .found,
            "\"0.5ns\""
        );
    }

    #[test]
    fn a_missing_or_misspelt_unit_is_named() {
        assert_eq!(
            duration("150").expect_err("no unit").hint.as_deref(),
            Some("the unit is missing")
        );
        assert_eq!(
            bytes("64kib").expect_err("a slip").hint.as_deref(),
            Some("did you mean \"KiB\"?")
        );
        assert_eq!(duration("-2s").expect_err("negative").found, "\"-2s\"");
        assert_eq!(
            rate("0/s").expect_err("never").expected,
            "a rate above zero, such as \"20/s\""
        );
        assert_eq!(rate("-3/s").expect_err("negative").found, "\"-3/s\"");
    }

    #[test]
    fn a_run_of_more_than_a_hundred_days_is_beyond_the_limit() {
        assert_eq!(duration("100d"), Ok(100 * DAY));
        assert_eq!(
            duration("2500h").expect_err("too long").found,
            "105 virtual days"
        );
    }

    #[test]
    fn a_range_has_its_smaller_end_first() {
        assert_eq!(
            durations("1ms..3ms"),
            Ok(Range {
                min: 1_000_000,
                max: 3_000_000
            })
        );
        assert_eq!(counts("2"), Ok(Range { min: 2, max: 2 }));
        assert!(counts("3..1").is_err());
    }

    #[test]
    fn an_instant_knows_leap_years() {
        assert_eq!(instant("2026-01-01T00:00:00Z"), Ok(1_767_225_600_000));
        assert_eq!(instant("2000-02-29T12:34:56.789Z"), Ok(951_827_696_789));
        assert!(instant("2100-02-29T00:00:00Z").is_err());
        assert!(instant("2026-01-01").is_err());
        assert!(instant("2026-01-01T24:00:00Z").is_err());
    }

    #[test]
    fn a_measured_time_is_shown_in_three_decimals() {
        let shown = [59_539_505_329, 90_000_000_000, 1_434_370, 20_500, 7, 0].map(show_duration);
        assert_eq!(shown, ["59.539s", "90s", "1.434ms", "20.5µs", "7ns", "0s"]);
    }

    #[test]
    fn a_rate_does_not_drift() {
        let thirds = rate("3/s").expect("a rate");
        assert_eq!(thirds.nth_ns(3), 1_000_000_000);
        assert_eq!(thirds.nth_ns(1), 333_333_333);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(ns in 0..=100 * DAY, size in 0u64..1 << 50, ppm in 0u32..=1_000_000, ms in 0i64..253_000_000_000_000) {
            prop_assert_eq!(duration(&write_duration(ns)), Ok(ns));
            prop_assert_eq!(bytes(&write_bytes(size)), Ok(size));
            prop_assert_eq!(percent(&write_percent(ppm)), Ok(ppm));
            prop_assert_eq!(instant(&write_instant(ms)), Ok(ms));
        }

        #[test]
        fn no_text_makes_a_quantity_panic(text in ".{0,24}") {
            let _ = (duration(&text), durations(&text), bytes(&text), counts(&text), rate(&text), percent(&text), instant(&text));
        }
    }
}
