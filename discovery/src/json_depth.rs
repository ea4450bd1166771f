//! How deeply JSON is nested, found without building anything from it.

/// Deepest nesting of arrays and objects that is handed over.
pub const MAX_JSON_DEPTH: usize = 32;

/// Whether a text is nested deeper than allowed. What is no JSON is the parser's to refuse; brackets
/// inside of strings do not count.
pub(crate) fn is_too_deep(text: &[u8]) -> bool {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_JSON_DEPTH {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_is_counted_outside_of_strings() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(!is_too_deep(&nested(MAX_JSON_DEPTH)));
        assert!(is_too_deep(&nested(MAX_JSON_DEPTH + 1)));
        assert!(!is_too_deep(
            &[b"[".repeat(30), br#""[[[[[[\"[[[[""#.to_vec()].concat()
        ));
        assert!(!is_too_deep(&b"[],".repeat(1000)));
    }
}
