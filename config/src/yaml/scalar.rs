//! Resolves unquoted scalars by the core schema of YAML 1.2 (section 10.3.2). In it, `no`, `on` and
//! dates are strings.

use serde_json::Number;

/// Type and value of an unquoted scalar.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Plain {
    /// An empty scalar: no value is written.
    Empty,
    /// `null` or `~`.
    Null,
    Bool(bool),
    /// A number that JSON can hold.
    Number(Number),
    /// A number that JSON cannot hold: not finite, or out of range. The caller refuses it rather
    /// than lose digits.
    OddNumber,
    Text,
}

pub(crate) fn resolve(text: &str) -> Plain {
    match text {
        "" => Plain::Empty,
        "null" | "Null" | "NULL" | "~" => Plain::Null,
        "true" | "True" | "TRUE" => Plain::Bool(true),
        "false" | "False" | "FALSE" => Plain::Bool(false),
        _ => number(text),
    }
}

fn number(text: &str) -> Plain {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Plain::OddNumber;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) =
            text.strip_prefix(prefix).filter(|digits| !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix)))
        {
            return u64::from_str_radix(digits, radix).map_or(Plain::OddNumber, |value| Plain::Number(value.into()));
        }
    }
    if !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit()) {
        let digits = text.strip_prefix('+').unwrap_or(text);
        return match (digits.parse::<u64>(), digits.parse::<i64>()) {
            (Ok(value), _) => Plain::Number(value.into()),
            (_, Ok(value)) => Plain::Number(value.into()),
            _ => Plain::OddNumber,
        };
    }
    if is_float(unsigned) {
        return text.parse().ok().and_then(Number::from_f64).map_or(Plain::OddNumber, Plain::Number);
    }
    Plain::Text
}

/// Whether `text`, without its sign, is a float of the core schema:
/// `( "." [0-9]+ | [0-9]+ ( "." [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`.
fn is_float(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (text, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    has_digits && digits(whole) && digits(fraction) && exponent.is_none_or(|digit| !digit.is_empty() && digits(digit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_schema_decides_and_nothing_else() {
        for text in [
            "no",
            "yes",
            "on",
            "off",
            "y",
            "n",
            "2026-01-01",
            "1:30",
            "0b1",
            "1_000",
            "0x",
            "0o8",
            "-0x1",
            "+",
            "-",
            ".",
            "e1",
            "1e",
            "nULL",
            "1.2.3",
        ] {
            assert_eq!(resolve(text), Plain::Text, "{text}");
        }
        for (text, value) in
            [("0", 0u64), ("007", 7), ("+5", 5), ("0x1F", 31), ("0o17", 15), ("18446744073709551615", u64::MAX)]
        {
            assert_eq!(resolve(text), Plain::Number(value.into()), "{text}");
        }
        assert_eq!(resolve("-3"), Plain::Number((-3).into()));
        for (text, value) in [("1.", 1.0), (".5", 0.5), ("-1.5e3", -1500.0), ("1e3", 1000.0)] {
            assert_eq!(resolve(text), Plain::Number(Number::from_f64(value).unwrap()), "{text}");
        }
        for text in [".inf", "-.INF", ".nan", "1e999", "123456789012345678901234567890", "0xFFFFFFFFFFFFFFFFFF"] {
            assert_eq!(resolve(text), Plain::OddNumber, "{text}");
        }
        assert_eq!((resolve(""), resolve("~"), resolve("NULL")), (Plain::Empty, Plain::Null, Plain::Null));
        assert_eq!((resolve("True"), resolve("false")), (Plain::Bool(true), Plain::Bool(false)));
    }
}
