//! Numbers as they are written.

/// Rounded to so many significant digits.
pub(super) fn significant(value: f64, digits: i32) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    let scale = 10_f64.powi(digits - 1 - value.abs().log10().floor() as i32);
    (value * scale).round() / scale
}

/// As people read it: three significant digits, whole numbers from 100 on.
pub(super) fn written(value: f64) -> String {
    let value = significant(value, 3);
    let decimals = match value.abs() {
        0.0 => 0,
        small if small < 0.0095 => 4,
        small if small < 0.1 => 3,
        small if small < 10.0 => 2,
        middle if middle < 100.0 => 1,
        _ => 0,
    };
    grouped(&format!("{value:.decimals$}"))
}

/// With commas between thousands.
fn grouped(number: &str) -> String {
    let whole = number.find('.').unwrap_or(number.len());
    let comma = |at: usize| at > 0 && at < whole && (whole - at).is_multiple_of(3) && &number[..at] != "-";
    let spaced =
        number.char_indices().map(|(at, digit)| if comma(at) { format!(",{digit}") } else { digit.to_string() });
    spaced.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_that_matter() {
        let values = [0.0, 0.001_234, 0.041_26, 0.5432, 5.517, 28.46, 99.96, 187.4, 1234.5, 187_654.0, -12_345.0];
        let right = ["0", "0.0012", "0.041", "0.54", "5.52", "28.5", "100", "187", "1,230", "188,000", "-12,300"];
        assert_eq!(values.map(written), right);
    }

    #[test]
    fn rounding_keeps_the_digits_that_were_asked_for() {
        assert_eq!(significant(187_654.321, 5), 187_650.0);
        assert_eq!(significant(0.000_123_456, 5), 0.000_123_46);
        assert_eq!((significant(0.0, 5), significant(f64::INFINITY, 5)), (0.0, f64::INFINITY));
    }
}
