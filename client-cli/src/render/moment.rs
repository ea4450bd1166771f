//! Points in time and spans as people say them. Times are UTC; JSON has milliseconds instead.

use entente_sdk::UnixMillis;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
/// From here on a date says more than a number of days.
const RELATIVE_LIMIT_MS: u64 = 7 * DAY_MS;

/// How long ago something was: `just now`, `5 min ago`, `3 h ago`, `2 d ago`, then the date.
#[must_use]
pub fn ago(time: UnixMillis, now: UnixMillis) -> String {
    match now.since(time) {
        ms if ms < MINUTE_MS => "just now".to_owned(),
        ms if ms < RELATIVE_LIMIT_MS => format!("{} ago", span(ms)),
        _ => date(time),
    }
}

/// How far away something is: `in 3 d`, or `expired`.
#[must_use]
pub fn until(time: UnixMillis, now: UnixMillis) -> String {
    match time.since(now) {
        0 => "expired".to_owned(),
        ms => format!("in {}", span(ms)),
    }
}

/// A span in its largest unit, rounded down: `40 s`, `5 min`, `3 h`, `2 d`.
#[must_use]
pub fn span(duration_ms: u64) -> String {
    match duration_ms {
        ms if ms < 1000 => format!("{ms} ms"),
        ms if ms < MINUTE_MS => format!("{} s", ms / 1000),
        ms if ms < HOUR_MS => format!("{} min", ms / MINUTE_MS),
        ms if ms < DAY_MS => format!("{} h", ms / HOUR_MS),
        ms => format!("{} d", ms / DAY_MS),
    }
}

/// A date, `2026-03-01`.
#[must_use]
pub fn date(time: UnixMillis) -> String {
    let (year, month, day) = civil(time.0 / DAY_MS);
    format!("{year:04}-{month:02}-{day:02}")
}

/// Year, month and day of a number of days since 1970-01-01, by Howard Hinnant's `civil_from_days`:
/// years are counted from March, so that the leap day comes last.
fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_in_one_unit() {
        let now = UnixMillis(1_772_323_200_000);
        let check = |ms: u64, expect: &str| assert_eq!(ago(now.before(ms), now), expect);
        check(0, "just now");
        check(59_999, "just now");
        check(5 * MINUTE_MS, "5 min ago");
        check(3 * HOUR_MS + 1, "3 h ago");
        check(6 * DAY_MS, "6 d ago");
        check(8 * DAY_MS, "2026-02-21");
        assert_eq!(until(now.after(DAY_MS), now), "in 1 d");
        assert_eq!(until(now, now), "expired");
        assert_eq!(span(999), "999 ms");
    }

    #[test]
    fn dates_are_right_around_leap_days() {
        let check =
            |seconds: u64, expect: &str| assert_eq!(date(UnixMillis(seconds * 1000)), expect);
        check(0, "1970-01-01");
        check(951_782_400, "2000-02-29");
        check(951_868_800, "2000-03-01");
        check(1_709_164_800, "2024-02-29");
        check(1_772_323_200, "2026-03-01");
        check(4_107_542_399, "2100-02-28");
        check(4_107_542_400, "2100-03-01");
    }
}
