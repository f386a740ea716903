// SPDX-License-Identifier: GPL-2.0

//! Numbers as people read and write them, and tables.

use crate::failure::Failure;
use ghostswap_core::limit::Limit;
use std::{
    fmt::Arguments,
    io::{
        self,
        Write, //
    },
};

/// Prints a line that says what was done. The work goes on if it cannot be printed: a pipe may be closed.
macro_rules! say {
    ($($text:tt)*) => { $crate::words::say_line(format_args!($($text)*)) };
}

/// Prints to the errors, without an end of the line.
macro_rules! tell {
    ($($text:tt)*) => { $crate::words::tell_text(format_args!($($text)*)) };
}

pub(crate) use {
    say,
    tell, //
};

/// As [`say!`] does it.
pub fn say_line(line: Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// As [`tell!`] does it.
pub fn tell_text(text: Arguments<'_>) {
    let _ = write!(io::stderr(), "{text}");
}

/// Prints `text`. That it is read to its end is not asked for, so a pipe may be closed before.
pub fn print(text: &str) -> crate::failure::Result {
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
            format!("the output: {error}"),
            "Write it where there is room.",
        )),
        _ => Ok(()),
    }
}

/// Bytes, with three digits or four: `790 MiB`, `3.1 GiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1023.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    if bytes == 1 {
        "1 byte".to_owned()
    } else if unit == 0 || value >= 99.95 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// A count: `1,074,790`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A count of things: `1 page`, `3,072 pages`. `thing` is the word for one.
pub fn counted(number: u64, thing: &str) -> String {
    let end = if number == 1 { "" } else { "s" };
    format!("{} {thing}{end}", count(number))
}

/// How often something was: `never`, `once`, `1,203 times`.
pub fn times(number: u64) -> String {
    match number {
        0 => "never".to_owned(),
        1 => "once".to_owned(),
        number => format!("{} times", count(number)),
    }
}

/// A share: `93.1%`. It is 0 or 100 only if it is all or nothing.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if share > 0.0 && percent < 0.1 => "0.1%".to_owned(),
        percent if share < 1.0 && percent >= 99.95 => "99.9%".to_owned(),
        percent => format!("{percent:.1}%"),
    }
}

/// A time, in its two largest units: `3 min 5 s`.
pub fn time(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86400, "d"), (3600, "h"), (60, "min"), (1, "s")];
    let largest = UNITS.iter().position(|(unit, _)| seconds >= *unit);
    let at = largest.unwrap_or(UNITS.len() - 1);
    let (unit, name) = UNITS[at];
    let text = format!("{} {name}", seconds / unit);
    match UNITS.get(at + 1) {
        Some((smaller, name)) if seconds % unit / smaller > 0 => {
            format!("{text} {} {name}", seconds % unit / smaller)
        }
        _ => text,
    }
}

/// A short time, with three digits or four: `512 ns`, `8.2 us`, `131 us`.
pub fn short_time(nanos: u64) -> String {
    const UNITS: [&str; 4] = ["ns", "us", "ms", "s"];
    let (mut value, mut unit) = (nanos as f64, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit == 0 || value >= 99.95 {
        format!("{value:.0} {}", UNITS[unit])
    } else {
        format!("{value:.1} {}", UNITS[unit])
    }
}

/// Reads a size: bytes, or with a suffix K, M, G or T (powers of 1,024).
pub fn parse_size(text: &str) -> Result<u64, String> {
    match Limit::parse(text.as_bytes()) {
        Ok(Limit::Bytes(bytes)) => Ok(bytes),
        _ => Err("a number of bytes, or one with K, M, G or T, such as 16G".to_owned()),
    }
}

/// Reads a time in seconds: a number of seconds, or one with s, m, h or d.
pub fn parse_time(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        Some((at, 'd')) => (&text[..at], 86400),
        _ => (text, 1),
    };
    let number = Some(digits).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
    number
        .and_then(|digits| digits.parse::<u64>().ok()?.checked_mul(unit))
        .ok_or_else(|| "a number of seconds, or one with s, m, h or d, such as 1d".to_owned())
}

/// The table of `rows`, of which the first one has the titles. The first column, and those in
/// `left`, begin at the left.
pub fn table(rows: &[Vec<String>], left: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let widths = rows.iter().filter_map(|row| row.get(column));
        widths.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = widths[column];
            if column == 0 || left.contains(&column) {
                line.push_str(&format!("  {cell:width$}"));
            } else {
                line.push_str(&format!("  {cell:>width$}"));
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_few_digits() {
        let text = |bytes| size(bytes);
        assert_eq!(text(0), "0 bytes");
        assert_eq!(text(1), "1 byte");
        assert_eq!(text(2), "2 bytes");
        assert_eq!(text(4096), "4.0 KiB");
        assert_eq!(text(790 << 20), "790 MiB");
        assert_eq!(text((1 << 30) - 1), "1.0 GiB");
        assert_eq!(text(16 << 40), "16.0 TiB");
        assert_eq!(text(u64::MAX), "16777216 TiB");
    }

    #[test]
    fn counts_shares_and_times_are_read_at_a_glance() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_074_790), "1,074,790");
        assert_eq!(counted(0, "page"), "0 pages");
        assert_eq!(counted(1, "page"), "1 page");
        assert_eq!(counted(1024, "page"), "1,024 pages");
        assert_eq!(times(0), "never");
        assert_eq!(times(1), "once");
        assert_eq!(times(1203), "1,203 times");
        assert_eq!(percent(1.0), "100.0%");
        assert_eq!(percent(0.99999), "99.9%");
        assert_eq!(percent(0.00001), "0.1%");
        assert_eq!(percent(0.0), "0.0%");
        assert_eq!(short_time(0), "0 ns");
        assert_eq!(short_time(512), "512 ns");
        assert_eq!(short_time(1024), "1.0 us");
        assert_eq!(short_time(131_072), "131 us");
        assert_eq!(short_time(999_999), "1.0 ms");
        assert_eq!(short_time(8_589_934_592), "8.6 s");
        assert_eq!(time(0), "0 s");
        assert_eq!(time(185), "3 min 5 s");
        assert_eq!(time(86400), "1 d");
    }

    #[test]
    fn sizes_and_times_are_parsed() {
        assert_eq!(parse_size("16G"), Ok(16 << 30));
        assert!(parse_size("20%").is_err());
        assert!(parse_size("0").is_err());
        assert_eq!(parse_time("90"), Ok(90));
        assert_eq!(parse_time("1d"), Ok(86400));
        assert_eq!(parse_time("0"), Ok(0));
        for wrong in ["", "d", "-1", "1w", "1 d", "+1", "99999999999999999d"] {
            assert!(parse_time(wrong).is_err(), "{wrong}");
        }
    }
}
