//! Values of settings that are neither a number nor a word: `cleanup.policy`, ratios, durations in ISO 8601.

use super::ConfigValue;
use serde::Serialize;

/// `cleanup.policy` (L-23). Neither: everything is kept (since 4.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct CleanupPolicy {
    /// Of each key only the last record is kept.
    pub compact: bool,
    /// Old segments are deleted.
    pub delete: bool,
}

impl CleanupPolicy {
    /// Kafka's default.
    pub const DELETE: CleanupPolicy = CleanupPolicy {
        compact: false,
        delete: true,
    };
}

impl ConfigValue for CleanupPolicy {
    const EXPECTS: &'static str = "\"delete\", \"compact\", \"compact,delete\" or \"\"";
    fn parse(text: &str) -> Option<CleanupPolicy> {
        let mut policy = CleanupPolicy {
            compact: false,
            delete: false,
        };
        for word in text.split(',').map(str::trim).filter(|w| !w.is_empty()) {
            match word {
                "compact" => policy.compact = true,
                "delete" => policy.delete = true,
                _ => return None,
            }
        }
        Some(policy)
    }
    fn show(&self) -> String {
        match (self.compact, self.delete) {
            (true, true) => "compact,delete",
            (true, false) => "compact",
            (false, true) => "delete",
            (false, false) => "",
        }
        .into()
    }
}

/// A part of a whole, in millionths: between 0 and 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
pub struct Ratio(pub u32);

impl Ratio {
    /// One half.
    pub const HALF: Ratio = Ratio(500_000);

    /// Whether `part` is strictly more of `whole` than this.
    pub fn is_less_than(self, part: u64, whole: u64) -> bool {
        u128::from(part) * 1_000_000 > u128::from(self.0) * u128::from(whole)
    }
}

impl ConfigValue for Ratio {
    const EXPECTS: &'static str = "a number from 0 to 1, with at most six digits behind the point";
    fn parse(text: &str) -> Option<Ratio> {
        let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
        let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || rest.len() > 6 || !digits(whole) || !digits(rest) {
            return None;
        }
        let millionths: u32 = format!("{rest:0<6}").parse().ok()?;
        let ratio = whole
            .parse::<u32>()
            .ok()?
            .checked_mul(1_000_000)?
            .checked_add(millionths)?;
        (ratio <= 1_000_000).then_some(Ratio(ratio))
    }
    fn show(&self) -> String {
        let rest = format!("{:06}", self.0 % 1_000_000);
        let rest = rest.trim_end_matches('0');
        let rest = if rest.is_empty() { "0" } else { rest };
        format!("{}.{rest}", self.0 / 1_000_000)
    }
}

/// Milliseconds of an ISO 8601 duration of days, hours, minutes and seconds: `P1DT2H3M4.005S`. None if it is negative.
pub(super) fn iso_millis(text: &str) -> Option<i64> {
    let text = text.strip_prefix('P')?;
    let (days, clock) = match text.split_once('T') {
        Some((_, "")) => return None,
        Some((days, clock)) => (days, clock),
        None => (text, ""),
    };
    if days.is_empty() && clock.is_empty() {
        return None;
    }
    let (days, rest) = part(days, 'D', 86_400_000)?;
    if !rest.is_empty() {
        return None;
    }
    let (hours, rest) = part(clock, 'H', 3_600_000)?;
    let (minutes, rest) = part(rest, 'M', 60_000)?;
    let seconds = seconds(rest)?;
    days.checked_add(hours)?
        .checked_add(minutes)?
        .checked_add(seconds)
}

/// A number with its letter at the front, times its unit; 0 if the letter is not there.
fn part(text: &str, letter: char, unit: i64) -> Option<(i64, &str)> {
    match text.split_once(letter) {
        Some((number, rest)) => {
            let number: u32 = number.parse().ok()?;
            Some((i64::from(number).checked_mul(unit)?, rest))
        }
        None => Some((0, text)),
    }
}

/// Seconds with at most three digits behind the point.
fn seconds(text: &str) -> Option<i64> {
    if text.is_empty() {
        return Some(0);
    }
    let text = text.strip_suffix('S')?;
    let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
    if rest.is_empty() || rest.len() > 3 {
        return None;
    }
    let whole: u32 = whole.parse().ok()?;
    let millis: u32 = format!("{rest:0<3}").parse().ok()?;
    Some(i64::from(whole) * 1_000 + i64::from(millis))
}

/// `by_duration:PT1.5S`.
pub(super) fn by_duration(ms: i64) -> String {
    format!("by_duration:PT{}.{:03}S", ms / 1_000, ms % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cleanup_policy_is_a_set_of_two_words() {
        for text in ["delete", "compact", "compact,delete", ""] {
            let policy = CleanupPolicy::parse(text).expect("it is one");
            assert_eq!(policy.show(), text);
        }
        assert_eq!(
            CleanupPolicy::parse("delete, compact").map(|p| p.show()),
            Some("compact,delete".into())
        );
        assert_eq!(CleanupPolicy::parse("shred"), None);
    }

    #[test]
    fn a_ratio_lies_between_nothing_and_the_whole() {
        let read = |text| Ratio::parse(text).map(|r| (r.0, r.show()));
        assert_eq!(read("0.5"), Some((500_000, "0.5".into())));
        assert_eq!(read("0"), Some((0, "0.0".into())));
        assert_eq!(read("1.0"), Some((1_000_000, "1.0".into())));
        for wrong in ["1.1", "-0.5", ".5", "0.1234567", "half"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        assert!(!Ratio::HALF.is_less_than(1, 2));
        assert!(Ratio::HALF.is_less_than(2, 3));
    }

    #[test]
    fn a_duration_is_read_as_java_reads_it() {
        assert_eq!(iso_millis("PT1H"), Some(3_600_000));
        assert_eq!(iso_millis("P1DT2H3M4.005S"), Some(93_784_005));
        assert_eq!(iso_millis("P7D"), Some(604_800_000));
        for wrong in ["", "P", "PT", "1H", "PT-1H", "P1H", "PT1X", "PT1M2H"] {
            assert_eq!(iso_millis(wrong), None, "{wrong}");
        }
        assert_eq!(by_duration(1_500), "by_duration:PT1.500S");
        assert_eq!(iso_millis("PT1.500S"), Some(1_500));
    }
}
