//! Cuts a long value into chunks whose borders depend on the content around them.
//!
//! A change in the middle of a value then changes the chunks around it and no others, whether or not
//! it changes the length: a message moves one sender ratchet of hundreds, a commit one path of a
//! tree, and only those chunks are written again. Old chunks are deleted, so nothing that openmls
//! deleted for forward secrecy stays in storage.

/// How finely a value is cut, in bytes; `mean` is a power of two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grain {
    /// Values up to this length are not cut.
    pub(crate) whole: usize,
    /// The shortest chunk, but for the last.
    pub(crate) min: usize,
    /// The usual length beyond the shortest.
    pub(crate) mean: usize,
    /// The longest chunk.
    pub(crate) max: usize,
}

/// For the message secrets: a sender's ratchets are about 400 bytes.
pub(crate) const FINE: Grain = Grain {
    whole: 768,
    min: 64,
    mean: 256,
    max: 1024,
};

/// For the tree: a node is one to two kilobytes.
pub(crate) const COARSE: Grain = Grain {
    whole: 8192,
    min: 512,
    mean: 1024,
    max: 8192,
};

/// Random-looking constants, one per byte value (SplitMix64).
const GEAR: [u64; 256] = {
    let mut table = [0; 256];
    let mut state: u64 = 0;
    let mut i = 0;
    while i < 256 {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        table[i] = z ^ (z >> 31);
        i += 1;
    }
    table
};

/// The lengths of the chunks of `value`, in order.
pub(crate) fn cut(value: &[u8], grain: Grain) -> Vec<usize> {
    let mut lengths = Vec::with_capacity(value.len() / grain.mean + 1);
    let mut rest = value;
    while !rest.is_empty() {
        let length = first_chunk(rest, grain);
        lengths.push(length);
        rest = &rest[length..];
    }
    lengths
}

fn first_chunk(value: &[u8], grain: Grain) -> usize {
    if value.len() <= grain.min {
        return value.len();
    }
    // The hash's high bits depend on the last 64 bytes, its low bits on the last few only.
    let shift = 64 - grain.mean.trailing_zeros();
    let end = value.len().min(grain.max);
    let mut hash: u64 = 0;
    for (offset, byte) in value[..end].iter().enumerate() {
        hash = (hash << 1).wrapping_add(GEAR[usize::from(*byte)]);
        if offset >= grain.min && hash >> shift == 0 {
            return offset;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        (0..length)
            .map(|i| (GEAR[i % 256].rotate_left((i / 256) as u32) >> 13) as u8)
            .collect()
    }

    fn chunks(value: &[u8], grain: Grain) -> Vec<&[u8]> {
        let mut rest = value;
        cut(value, grain)
            .into_iter()
            .map(|length| {
                let (chunk, tail) = rest.split_at(length);
                rest = tail;
                chunk
            })
            .collect()
    }

    #[test]
    fn chunks_make_up_the_value_within_their_bounds() {
        for value in [noise(0), noise(63), noise(40_000), vec![0; 10_000]] {
            let chunks = chunks(&value, FINE);
            assert_eq!(chunks.concat(), value);
            assert!(chunks.iter().all(|c| c.len() <= FINE.max && !c.is_empty()));
        }
    }

    #[test]
    fn an_insertion_changes_few_chunks() {
        let before = noise(40_000);
        let mut after = before.clone();
        after.splice(20_000..20_000, noise(100));
        let old = chunks(&before, FINE);
        let fresh = chunks(&after, FINE);
        let changed = fresh.iter().filter(|chunk| !old.contains(chunk)).count();
        assert!(changed <= 4, "{changed} of {}", fresh.len());
    }
}
