//! Cap'n Proto messages that make a careless reader work, recurse or allocate for nothing.

/// A message's segments, in words.
type Segments = Vec<Vec<u64>>;

/// Words of the root struct: as wide as any root of the schemas, so that every method has it for its own.
const DATA_WORDS: u16 = 4;
const POINTERS: u16 = 6;

/// Element sizes of list pointers.
const VOID: u32 = 0;
const BYTE: u32 = 2;
const POINTER: u32 = 6;
const COMPOSITE: u32 = 7;
/// Most elements that a list pointer can name.
const MOST: u32 = (1 << 29) - 1;
/// Levels of the deep bombs.
const DEEP: usize = 1_000;

/// A message in the standard framing.
fn framing(segments: &Segments) -> Vec<u8> {
    let count = u32::try_from(segments.len()).unwrap_or(u32::MAX);
    let mut table = vec![count.wrapping_sub(1)];
    table.extend(segments.iter().map(|segment| segment.len() as u32));
    if table.len() % 2 == 1 {
        table.push(0);
    }
    let mut bytes: Vec<u8> = table.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(
        segments
            .iter()
            .flatten()
            .flat_map(|word| word.to_le_bytes()),
    );
    bytes
}

fn struct_pointer(offset: i32, data: u16, pointers: u16) -> u64 {
    let low = (offset as u32) << 2;
    u64::from(low) | u64::from(data) << 32 | u64::from(pointers) << 48
}

fn list_pointer(offset: i32, size: u32, count: u32) -> u64 {
    let low = (offset as u32) << 2 | 1;
    u64::from(low) | u64::from(count << 3 | size) << 32
}

fn far_pointer(segment: u32, offset: u32, double: bool) -> u64 {
    let low = offset << 3 | u32::from(double) << 2 | 2;
    u64::from(low) | u64::from(segment) << 32
}

/// A root struct each of whose pointers is `pointer(its place)`, followed by `rest`.
fn root(pointer: impl Fn(u16) -> u64, rest: &[u64]) -> Vec<u64> {
    let mut words = vec![struct_pointer(0, DATA_WORDS, POINTERS)];
    words.extend([0; DATA_WORDS as usize]);
    words.extend((0..POINTERS).map(pointer));
    words.extend(rest);
    words
}

/// The offset from a root's pointer to the first word after the root.
fn behind(place: u16) -> i32 {
    i32::from(POINTERS - 1 - place)
}

/// Every bomb with its name, as the message of one frame.
#[must_use]
pub fn all() -> Vec<(&'static str, Vec<u8>)> {
    [tables(), lies(), circles()].concat()
}

type Bombs = Vec<(&'static str, Vec<u8>)>;

fn one(words: Vec<u64>) -> Vec<u8> {
    framing(&vec![words])
}

/// Segment tables that promise what is not there.
fn tables() -> Bombs {
    vec![
        ("no bytes", Vec::new()),
        ("a table cut short", vec![0, 0, 0]),
        ("2^32 segments", [[0xff; 4], [0xff; 4]].concat().repeat(8)),
        ("512 segments of the largest size", huge_segments()),
        ("an empty segment", one(Vec::new())),
    ]
}

/// Lists that are longer than their message, or that lead back to themselves.
fn lies() -> Bombs {
    vec![
        (
            "voids without end",
            one(root(|at| list_pointer(behind(at), VOID, MOST), &[])),
        ),
        (
            "structs of nothing",
            one(root(
                |at| list_pointer(behind(at), COMPOSITE, 0),
                &[struct_pointer(MOST as i32, 0, 0)],
            )),
        ),
        (
            "more bytes than there are",
            one(root(|at| list_pointer(behind(at), BYTE, MOST), &[0])),
        ),
        (
            "pointers without end",
            one(root(|at| list_pointer(behind(at), POINTER, MOST), &[0])),
        ),
        (
            "a struct that is its own child",
            one(root(
                |at| struct_pointer(-i32::from(at + DATA_WORDS) - 1, DATA_WORDS, POINTERS),
                &[],
            )),
        ),
        (
            "a list that holds itself",
            one(root(
                |at| list_pointer(behind(at), POINTER, 4),
                &[list_pointer(-1, POINTER, 4); 4],
            )),
        ),
    ]
}

/// Pointers in circles, far away, deep, or of another kind than belongs there.
fn circles() -> Bombs {
    vec![
        ("the same megabyte a thousand times", one(repeated())),
        ("nested lists", one(nested())),
        (
            "a far pointer to itself",
            one(root(
                |at| far_pointer(0, u32::from(1 + DATA_WORDS + at), false),
                &[],
            )),
        ),
        (
            "far pointers in a circle",
            framing(&vec![
                root(|_| far_pointer(1, 0, false), &[]),
                vec![far_pointer(2, 0, false)],
                vec![far_pointer(1, 0, false)],
            ]),
        ),
        (
            "double far pointers in a circle",
            framing(&vec![
                root(|_| far_pointer(1, 0, true), &[]),
                vec![far_pointer(1, 0, true), far_pointer(1, 0, true)],
            ]),
        ),
        (
            "a far pointer to nowhere",
            one(root(|_| far_pointer(77, 3, false), &[])),
        ),
        (
            "a root beyond the end",
            one(vec![struct_pointer(MOST as i32, 9, 9)]),
        ),
        (
            "a root of another kind",
            one(vec![list_pointer(0, BYTE, 8), 0]),
        ),
        ("capabilities", one(root(|_| 3, &[]))),
    ]
}

fn huge_segments() -> Vec<u8> {
    let mut table = vec![511_u32];
    table.extend([u32::MAX; 512]);
    table.push(0);
    table.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A list of pointers each of which leads to the same bytes.
fn repeated() -> Vec<u64> {
    const TIMES: i32 = 1_000;
    const WORDS: usize = 1_000;
    let mut rest: Vec<u64> = (0..TIMES)
        .map(|at| list_pointer(TIMES - 1 - at, BYTE, WORDS as u32 * 8))
        .collect();
    rest.extend([0x4141_4141_4141_4141; WORDS]);
    root(|at| list_pointer(behind(at), POINTER, TIMES as u32), &rest)
}

/// Lists in lists, each with one element.
fn nested() -> Vec<u64> {
    let rest = [list_pointer(0, POINTER, 1); DEEP];
    root(|at| list_pointer(behind(at), POINTER, 1), &rest)
}
