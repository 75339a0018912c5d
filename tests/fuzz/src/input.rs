//! A fuzzer's bytes read as numbers, texts and choices. Bytes that are missing are zero, so each input
//! means something, and a byte changed in it changes little.

/// Reads the bytes from front to back.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    rest: &'a [u8],
}

/// What the bytes above 0x7f stand for in texts: characters of two, three and four bytes.
const LONG: [char; 8] =
    ['é', 'ß', '€', '\u{feff}', '\u{fffd}', '\u{1d11e}', '\u{10fffd}', '\u{85}'];

impl<'a> Input<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub fn two_byte(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub fn four_byte(&mut self) -> u32 {
        u32::from(self.two_byte()) << 16 | u32::from(self.two_byte())
    }

    pub fn flag(&mut self) -> bool {
        self.byte() & 1 != 0
    }

    /// A number below `bound`, which is at most 256.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::from(self.byte()) % bound.max(1)
    }

    /// Up to `len` bytes, fewer at the end.
    pub fn take(&mut self, len: usize) -> &'a [u8] {
        let (head, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.rest = rest;
        head
    }

    /// Up to `most` bytes (at most 255), by a length in front.
    pub fn bytes(&mut self, most: usize) -> &'a [u8] {
        let len = self.below(most + 1);
        self.take(len)
    }

    /// Up to `most` characters, none of them U+0000.
    pub fn text(&mut self, most: usize) -> String {
        self.bytes(most)
            .iter()
            .map(|&byte| match byte {
                0 => '0',
                1..0x80 => byte as char,
                _ => LONG[usize::from(byte) % LONG.len()],
            })
            .collect()
    }

    /// A topic name of at least one character.
    pub fn topic(&mut self) -> String {
        let name = self.text(20).replace(['+', '#'], "/");
        if name.is_empty() { "t".into() } else { name }
    }

    /// A topic filter; one of a shared subscription now and then.
    pub fn filter(&mut self) -> String {
        let kind = self.byte();
        let mut levels = Vec::new();
        for _ in 0..=kind % 4 {
            levels.push(match self.byte() {
                b'+' => "+".to_owned(),
                other => self.text(usize::from(other % 8)).replace(['+', '#', '/', '$'], "a"),
            });
        }
        if kind & 0x40 != 0 {
            levels.push("#".to_owned());
        }
        let filter = levels.join("/");
        let filter = if filter.is_empty() { "f".into() } else { filter };
        if kind & 0x30 == 0x30 { format!("$share/s{}/{filter}", self.below(3)) } else { filter }
    }
}
