//! Ages as people type them, with no room for a misunderstanding: `6m` could be minutes or months, so it is refused.

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp, ToSpan, tz::TimeZone};

/// How long ago something may have been made. Months and years are calendar months and years.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Age {
    amount: i64,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Minutes,
    Hours,
    Days,
    Weeks,
    Months,
    Years,
}

const UNITS: [(&str, Unit); 7] = [
    ("s", Unit::Seconds),
    ("min", Unit::Minutes),
    ("h", Unit::Hours),
    ("d", Unit::Days),
    ("w", Unit::Weeks),
    ("mo", Unit::Months),
    ("y", Unit::Years),
];
/// Longer ages are typing errors: another tool's `999999d` wrapped around and deleted everything.
const LONGEST_YEARS: i64 = 100;

impl Age {
    pub(crate) const HOUR: Self = Self { amount: 1, unit: Unit::Hours };

    /// The moment `self` before `now`: what is older was made before it.
    pub(crate) fn before(self, now: Timestamp) -> Timestamp {
        let (years, months, days, rest) = match self.unit {
            Unit::Seconds => (0, 0, 0, SignedDuration::from_secs(self.amount)),
            Unit::Minutes => (0, 0, 0, SignedDuration::from_secs(60 * self.amount)),
            Unit::Hours => (0, 0, 0, SignedDuration::from_secs(3600 * self.amount)),
            Unit::Days => (0, 0, self.amount, SignedDuration::ZERO),
            Unit::Weeks => (0, 0, 7 * self.amount, SignedDuration::ZERO),
            Unit::Months => (0, self.amount, 0, SignedDuration::ZERO),
            Unit::Years => (self.amount, 0, 0, SignedDuration::ZERO),
        };
        let calendar = years.years().months(months).days(days);
        let then = now.to_zoned(TimeZone::UTC).saturating_sub(calendar).timestamp();
        // An age too long for the calendar reaches back to its beginning: nothing is older, so nothing is removed.
        then.checked_sub(rest).unwrap_or(Timestamp::MIN)
    }

    fn is_longer_than_people_mean(self) -> bool {
        let per_year = match self.unit {
            Unit::Seconds => 365 * 86_400,
            Unit::Minutes => 365 * 1440,
            Unit::Hours => 365 * 24,
            Unit::Days => 365,
            Unit::Weeks => 52,
            Unit::Months => 12,
            Unit::Years => 1,
        };
        self.amount > LONGEST_YEARS * per_year
    }
}

impl FromStr for Age {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        const FORMS: &str = "write it as 45min, 12h, 30d, 2w, 6mo or 1y";
        let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        if number.is_empty() {
            return Err(format!("not an age: {FORMS}"));
        }
        if unit == "m" || unit == "M" {
            return Err(format!("ambiguous: write {number}mo for months or {number}min for minutes"));
        }
        let Some((_, unit)) = UNITS.into_iter().find(|(name, _)| *name == unit) else {
            return Err(match unit {
                "" => format!(
                    "a unit is missing: write {number}d for days, {number}h for hours, {number}mo for months"
                ),
                _ => format!("not an age: {FORMS}"),
            });
        };
        let too_long = || format!("longer than {LONGEST_YEARS} years: nothing would ever be removed");
        let age = Self { amount: number.parse().map_err(|_| too_long())?, unit };
        if age.is_longer_than_people_mean() {
            return Err(too_long());
        }
        if age.amount == 0 {
            return Err(
                "everything is older than that; name an age, or remove tags with `docker registry rm`"
                    .to_owned(),
            );
        }
        Ok(age)
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().find(|(_, unit)| *unit == self.unit).map_or("", |(name, _)| name);
        write!(f, "{}{unit}", self.amount)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_reach_back_by_the_calendar() {
        let now: Timestamp = "2026-03-31T12:00:00Z".parse().unwrap();
        for (age, then) in [
            ("90s", "2026-03-31T11:58:30Z"),
            ("45min", "2026-03-31T11:15:00Z"),
            ("12h", "2026-03-31T00:00:00Z"),
            ("30d", "2026-03-01T12:00:00Z"),
            ("2w", "2026-03-17T12:00:00Z"),
            ("1mo", "2026-02-28T12:00:00Z"),
            ("1y", "2025-03-31T12:00:00Z"),
            ("100y", "1926-03-31T12:00:00Z"),
        ] {
            let parsed: Age = age.parse().unwrap();
            assert_eq!(parsed.before(now).to_string(), then, "{age}");
            assert_eq!(parsed.to_string(), age);
        }
    }

    #[test]
    fn what_could_be_misread_is_refused_with_the_clear_form() {
        for (age, words) in [
            ("6M", "6mo for months or 6min"),
            ("6m", "6mo for months or 6min"),
            ("30", "30d for days"),
            ("-3d", "not an age"),
            ("", "not an age"),
            ("d", "not an age"),
            ("1.5d", "not an age"),
            ("0d", "everything is older"),
            ("999999d", "longer than 100 years"),
            ("99999999999999999999d", "longer than 100 years"),
        ] {
            let error = age.parse::<Age>().unwrap_err();
            assert!(error.contains(words), "{age}: {error}");
        }
    }
}
