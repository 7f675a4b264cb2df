//! `requires`: a file that is newer than the program is refused by a clear word of its own.

use toml::de::DeTable;

use crate::findings::Findings;

/// Whether the file requires more than `version`; reports that, or that it cannot be understood.
pub(crate) fn refuses(document: &DeTable<'_>, version: [u64; 3], findings: &mut Findings) -> bool {
    let Some(value) = document.get("requires") else { return false };
    // Any other type is the reader's to report.
    let Some(text) = value.get_ref().as_str() else { return false };
    let Some(required) = parse(text) else {
        let message = format!("`requires` must be a version, not {text:?}");
        findings.error(&value.span(), message, "write `requires = \"0.1\"` or `\"0.1.2\"`");
        return false;
    };
    if required > version {
        let [major, minor, patch] = version;
        let message = format!("this file requires meshtun {text} or newer; this is meshtun {major}.{minor}.{patch}");
        let hint = "install a newer meshtun on this gateway; nothing else in the file was checked";
        findings.error(&value.span(), message, hint);
    }
    required > version
}

/// One to three numbers; what is left out, or an `x` at the end, is 0.
fn parse(text: &str) -> Option<[u64; 3]> {
    let mut version = [0; 3];
    let text = text.strip_suffix(".x").unwrap_or(text);
    for (index, part) in text.split('.').enumerate() {
        let digits = part.bytes().all(|byte| byte.is_ascii_digit());
        *version.get_mut(index)? = part.parse().ok().filter(|_| digits)?;
    }
    Some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_one_to_three_numbers() {
        assert_eq!(parse("0.1"), Some([0, 1, 0]));
        assert_eq!(parse("2"), Some([2, 0, 0]));
        assert_eq!(parse("0.12.3"), Some([0, 12, 3]));
        assert_eq!(parse("0.x"), Some([0, 0, 0]));
        for text in ["", "x", "1.", ".1", "1.2.3.4", "+1", "0.1-beta", "v1", "99999999999999999999"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
