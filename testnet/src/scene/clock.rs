//! A server whose clock is off.
//!
//! The server has no switch for it: Debian's library `libfaketime` is loaded before its own and shows it
//! another time. That takes a program that is linked dynamically. A scene trusts nobody that it worked: the
//! times in the server's log have to show it.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

/// How far the time in a log may be from what was asked for, in seconds.
const TOLERANCE_S: i64 = 60;

/// The variables that let a program see a time that is off by so many seconds. Only what the time of day is
/// changes: waiting takes as long as ever.
#[must_use]
pub fn variables(library: &str, seconds: i64) -> [(&'static str, String); 3] {
    [
        ("LD_PRELOAD", library.to_owned()),
        ("FAKETIME", format!("{seconds:+}s")),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ]
}

/// Checks by the end of a server's log that its clock is off by so many seconds.
///
/// # Errors
/// When it is not, or the log shows no time.
pub fn check(log: &str, seconds: i64) -> Result<()> {
    let shown = log.lines().rev().find_map(time_of);
    let shown = shown.context("the server's log shows no time")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = i64::try_from(now.unwrap_or_default().as_secs())?;
    let off = shown - now;
    ensure!(
        (off - seconds).abs() <= TOLERANCE_S,
        "the server's clock is off by {off} s, where {seconds} s were wanted"
    );
    Ok(())
}

/// The time with which a line of a log begins, `2026-01-31T12:30:59.123Z`, in seconds since 1970.
fn time_of(line: &str) -> Option<i64> {
    let (date, rest) = line.split_once('T')?;
    // Colours may stand before it.
    let date = date.get(date.len().checked_sub(10)?..)?;
    let mut date = date.split('-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = rest
        .get(..8)?
        .split(':')
        .map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    Some(days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Days of the Gregorian calendar; years begin in March, so that a leap day is the last one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year
        - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_log_is_read() {
        assert_eq!(time_of("1970-01-01T00:00:00.5Z  INFO x"), Some(0));
        assert_eq!(time_of("2000-03-01T00:00:01Z x"), Some(951_868_801));
        assert_eq!(
            time_of("\u{1b}[2m2026-11-24T13:30:00.1Z x"),
            Some(1_795_527_000)
        );
        assert_eq!(time_of("Tuesday"), None);
        assert_eq!(time_of("TTT"), None);
    }

    #[test]
    fn a_clock_that_is_right_does_not_pass_as_one_that_is_off() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let now = i64::try_from(now.as_secs()).unwrap();
        let days = now.div_euclid(86_400);
        let rest = now.rem_euclid(86_400);
        let date = (1970..2200)
            .flat_map(|year| (1..=12).map(move |month| (year, month)))
            .flat_map(|(year, month)| (1..=31).map(move |day| (year, month, day)))
            .find(|(year, month, day)| days_since_1970(*year, *month, *day) == days)
            .unwrap();
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        let (year, month, day) = date;
        let line = format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z ready");
        check(&line, 0).unwrap();
        assert!(check(&line, 300).is_err());
        assert!(check("no time at all", 0).is_err());
    }
}
