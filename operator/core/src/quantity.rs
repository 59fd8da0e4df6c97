//! Kubernetes quantities, as far as limits in bytes need them.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// Bytes that a quantity in a resource stands for; see [`bytes`].
pub(crate) fn bytes_of(quantity: &IntOrString) -> Option<u64> {
    match quantity {
        IntOrString::Int(bytes) => u64::try_from(*bytes).ok(),
        IntOrString::String(text) => bytes(text),
    }
}

/// Bytes that a quantity such as `512Mi`, `1.5G` or `1e9` stands for, rounded
/// up as Kubernetes does. `None` when it is not a quantity.
pub(crate) fn bytes(text: &str) -> Option<u64> {
    let split = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(split);
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024f64.powi(2),
        "Gi" => 1024f64.powi(3),
        "Ti" => 1024f64.powi(4),
        "Pi" => 1024f64.powi(5),
        "Ei" => 1024f64.powi(6),
        exponent => 10f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let bytes = (number * factor).ceil();
    // Casting saturates, and no limit comes near 2^64.
    bytes.is_finite().then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, expected) in [
            ("128974848", 128_974_848),
            ("129M", 129_000_000),
            ("123Mi", 128_974_848),
            ("1.5Gi", 1_610_612_736),
            ("1e9", 1_000_000_000),
            ("128974848000m", 128_974_848),
            ("0.5", 1),
        ] {
            assert_eq!(bytes(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_texts_are_none() {
        for text in ["", "Mi", "1Zi", "-1", "1 Gi"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
