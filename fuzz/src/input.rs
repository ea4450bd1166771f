//! How an input that has several parts lies in one string of bytes.

/// Cuts an input into `N` parts after a byte of flags: the flags, the lengths of all parts but the last
/// (`u16`, little endian), the parts. Every input has a reading: a length that is too long takes what
/// is there, so that a mutation of one part leaves the others alone.
pub(crate) fn parts<const N: usize>(input: &[u8]) -> (u8, [&[u8]; N]) {
    let (flags, rest) = input.split_first().unwrap_or((&0, &[]));
    let (lengths, mut rest) = rest.split_at(rest.len().min(2 * (N - 1)));
    let mut lengths = lengths.chunks(2).map(|pair| match pair {
        [low, high] => usize::from(u16::from_le_bytes([*low, *high])),
        _ => 0,
    });
    let mut parts = [&[][..]; N];
    for (index, part) in parts.iter_mut().enumerate() {
        let length = if index + 1 == N {
            rest.len()
        } else {
            lengths.next().unwrap_or(0).min(rest.len())
        };
        (*part, rest) = rest.split_at(length);
    }
    (*flags, parts)
}

/// Puts an input together that is cut into these parts.
///
/// # Panics
/// A part but the last is longer than 65,535 bytes.
#[must_use]
pub fn join_parts(flags: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![flags];
    for part in &parts[..parts.len() - 1] {
        let length = u16::try_from(part.len()).expect("parts of seeds are short");
        out.extend(length.to_le_bytes());
    }
    out.extend(parts.concat());
    out
}

/// The text of an input, if it is one.
pub(crate) fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}
