//! How patiently the run waits. The tests of what goes wrong meet every limit and every pause of this program, which
//! are made for busy servers; for them all waiting is shortened in proportion. It can only be shortened.

use std::time::Duration;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Pace {
    #[default]
    Patient,
    Hurried,
}

impl Pace {
    pub(crate) fn of(self, wait: Duration) -> Duration {
        const SHARE: u32 = 40;
        const LONGEST: Duration = Duration::from_secs(2);
        /// No pause becomes a loop without one.
        const SHORTEST: Duration = Duration::from_millis(5);
        match self {
            Self::Patient => wait,
            Self::Hurried => (wait / SHARE).clamp(SHORTEST.min(wait), LONGEST),
        }
    }

    pub(crate) async fn pause(self, wait: Duration) {
        tokio::time::sleep(self.of(wait)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_only_ever_shortened() {
        for millis in [0, 1, 5, 10, 200, 1_000, 45_000, 600_000] {
            let wait = Duration::from_millis(millis);
            assert_eq!(Pace::Patient.of(wait), wait);
            assert!(Pace::Hurried.of(wait) <= wait, "{wait:?}");
        }
        assert_eq!(Pace::Hurried.of(Duration::from_secs(60)), Duration::from_millis(1_500));
        assert_eq!(Pace::Hurried.of(Duration::from_secs(600)), Duration::from_secs(2));
    }
}
