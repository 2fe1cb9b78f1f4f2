//! Choices read off a string of bytes, so that shrinking the bytes shrinks what was chosen.

/// Where zero, and everything behind the end, is the simplest choice.
pub(super) struct Tape<'a> {
    bytes: std::slice::Iter<'a, u8>,
}

impl<'a> Tape<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes: bytes.iter() }
    }

    /// A number below `n`; the low ones are the simple ones.
    pub(super) fn pick(&mut self, n: usize) -> usize {
        let byte = usize::from(self.bytes.next().copied().unwrap_or(0));
        // Scaled, not the remainder: a smaller byte is never a later choice.
        byte * n / 256
    }

    /// True in so many percent of all cases.
    pub(super) fn chance(&mut self, percent: usize) -> bool {
        self.pick(100) >= 100 - percent
    }

    /// One of several; `None` when there is none.
    pub(super) fn one_of<'b, T>(&mut self, all: &'b [T]) -> Option<&'b T> {
        all.get(self.pick(all.len().max(1)))
    }

    /// One of several by their weights.
    pub(super) fn weighted(&mut self, weights: &[usize]) -> usize {
        let mut left = self.pick(weights.iter().sum());
        for (choice, weight) in weights.iter().enumerate() {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return choice,
            }
        }
        0
    }
}

#[test]
fn an_empty_tape_chooses_the_simplest() {
    let mut tape = Tape::new(&[]);
    assert_eq!((tape.pick(9), tape.chance(99), tape.weighted(&[1, 7])), (0, false, 0));
    let mut tape = Tape::new(&[255, 255, 255, 128]);
    assert_eq!((tape.pick(9), tape.chance(1), tape.weighted(&[1, 7]), tape.pick(2)), (8, true, 1, 1));
}
