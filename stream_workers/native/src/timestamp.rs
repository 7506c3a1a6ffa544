//! Converts `created_at` to milliseconds.

/// Beyond this (the year 2255) Python divides integer microseconds, and a float would round twice.
const EXACT: i64 = 1 << 53;

/// `int(moment.timestamp() * 1_000)` of `YYYY-MM-DDTHH:MM:SS[.ffffff](Z|+HH:MM|-HH:MM)`, rounded as Python rounds it.
pub fn event_ms(moment: &[u8]) -> Option<i64> {
    let microseconds = microseconds(moment)?;
    if microseconds.abs() > EXACT {
        return None;
    }
    Some((microseconds as f64 / 1e6 * 1e3) as i64)
}

fn microseconds(moment: &[u8]) -> Option<i64> {
    let (clock, rest) = moment.split_at_checked(19)?;
    if [clock[4], clock[7], clock[10], clock[13], clock[16]] != *b"--T::" {
        return None;
    }
    let year = number(&clock[..4])?;
    let days = days(year, number(&clock[5..7])?, number(&clock[8..10])?)?;
    let (hour, minute, second) = (number(&clock[11..13])?, number(&clock[14..16])?, number(&clock[17..19])?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, zone) = fraction(rest)?;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second - offset(zone)?;
    Some(seconds * 1_000_000 + fraction)
}

/// Microseconds, and the rest after them.
fn fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', rest)) = rest.split_first() else { return Some((0, rest)) };
    let digits = rest.iter().take_while(|character| character.is_ascii_digit()).count();
    if !(1..=6).contains(&digits) {
        return None;
    }
    Some((number(&rest[..digits])? * 10_i64.pow(6 - digits as u32), &rest[digits..]))
}

/// Seconds east of Greenwich.
fn offset(zone: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match zone {
        b"Z" => return Some(0),
        [b'+', h1, h2, b':', m1, m2] => (1, [*h1, *h2], [*m1, *m2]),
        [b'-', h1, h2, b':', m1, m2] => (-1, [*h1, *h2], [*m1, *m2]),
        _ => return None,
    };
    let (hours, minutes) = (number(&hours)?, number(&minutes)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    Some(sign * (hours * 60 + minutes) * 60)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

/// Since 1970, in the Gregorian calendar: days_from_civil of Howard Hinnant's "chrono-Compatible Low-Level Date
/// Algorithms", for years from 1.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if year < 1 || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719_468)
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
