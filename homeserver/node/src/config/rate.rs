//! How often something may be done, as a setting: `200/s burst 2000`, `16MiB/s burst 64MiB`, `none`.
//!
//! The first number is given back steadily (each second, minute, hour or day), the second one may be
//! used at once after a rest. `none` is no limit.

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use super::value::text_value;

/// How often something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(Option<Bounded>);

/// How many bytes may come. Counted in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throughput(pub Rate);

/// A rate that is a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounded {
    /// The time in which one is given back.
    pub interval: Duration,
    /// How many at once.
    pub burst: NonZeroU32,
}

const FORM: &str = "expected a rate like `200/s burst 2000` (per s, m, h or d), or `none`";
const FORM_OF_BYTES: &str =
    "expected a rate like `16MiB/s burst 64MiB` (KiB, MiB or GiB; per s, m, h or d), or `none`";

impl Rate {
    /// No limit.
    pub const NONE: Self = Self(None);

    /// So many each second, and so many at once.
    #[must_use]
    pub fn per_second(count: NonZeroU32, burst: NonZeroU32) -> Self {
        Self(Some(Bounded {
            interval: Duration::from_secs(1) / count.get(),
            burst,
        }))
    }

    /// The limit, if it is one.
    #[must_use]
    pub fn bounded(self) -> Option<Bounded> {
        self.0
    }

    fn parse(text: &str, amount: impl Fn(&str) -> Option<u32>) -> Option<Self> {
        if text == "none" {
            return Some(Self::NONE);
        }
        let (steady, burst) = text.split_once(" burst ")?;
        let (count, period) = steady.split_once('/')?;
        let period_secs = match period {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            "d" => 86_400,
            _ => return None,
        };
        let count = NonZeroU32::new(amount(count)?)?;
        let interval = Duration::from_secs(period_secs) / count.get();
        let burst = NonZeroU32::new(amount(burst)?)?;
        (!interval.is_zero()).then_some(Self(Some(Bounded { interval, burst })))
    }
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, |amount| amount.parse().ok()).ok_or(FORM)
    }
}

impl FromStr for Throughput {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Rate::parse(text, kibibytes).map(Self).ok_or(FORM_OF_BYTES)
    }
}

fn kibibytes(text: &str) -> Option<u32> {
    let units = [("KiB", 1), ("MiB", 1 << 10), ("GiB", 1 << 20)];
    let (number, unit) = units
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    number.parse::<u32>().ok()?.checked_mul(*unit)
}

text_value!(Rate, Throughput);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, interval: Duration, burst: u32) {
        let rate: Rate = text.parse().expect(text);
        let bounded = rate.bounded().expect("a limit");
        assert_eq!((bounded.interval, bounded.burst.get()), (interval, burst));
    }

    #[test]
    fn rates_are_read_with_their_period() {
        check("200/s burst 2000", Duration::from_millis(5), 2000);
        check("2/m burst 1", Duration::from_secs(30), 1);
        check("6/h burst 10", Duration::from_secs(600), 10);
        check("1/d burst 1", Duration::from_secs(86_400), 1);
        assert_eq!("none".parse(), Ok(Rate::NONE));
    }

    #[test]
    fn bytes_are_counted_in_kibibytes() {
        let read = |text: &str| text.parse::<Throughput>().map(|rate| rate.0);
        let same = "2048/s burst 1048576".parse::<Rate>();
        assert_eq!(read("2MiB/s burst 1GiB"), same);
        assert_eq!(read("none"), Ok(Rate::NONE));
        for wrong in ["2/s burst 1", "2MB/s burst 1MB", "9999999GiB/s burst 1KiB"] {
            assert_eq!(read(wrong), Err(FORM_OF_BYTES), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_rate_is_refused() {
        for wrong in [
            "",
            "200",
            "200/s",
            "0/s burst 1",
            "1/s burst 0",
            "1/w burst 1",
            "-1/s burst 1",
            "1/s  burst 1",
            "4000000000/s burst 1",
            "unlimited",
        ] {
            assert_eq!(wrong.parse::<Rate>(), Err(FORM), "{wrong}");
        }
    }
}
