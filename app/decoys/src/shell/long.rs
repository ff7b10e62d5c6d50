//! Streams of bytes that are counted instead of kept: what `/dev/zero`, `yes` and `seq` give into a pipe.

use std::sync::Arc;

/// Bytes of an endless stream that go to a program which has to see them; and the most of one that ends.
pub(crate) const KEPT: usize = 1 << 20;
/// Up to this many bytes are given as they are.
pub(crate) const SHORT: u64 = 256 << 10;

/// A stream that is as long as it says and takes no memory.
#[derive(Debug, Clone)]
pub(crate) struct Long {
    source: Source,
    /// Bytes that are left; `None` where it never ends.
    left: Option<u64>,
    /// Bytes that were taken.
    at: u64,
}

#[derive(Debug, Clone)]
enum Source {
    /// The same bytes over and over.
    Repeat(Arc<[u8]>),
    /// Bytes of which each is another: xorshift over their place.
    Noise(u64),
    /// Whole numbers, a line each.
    Numbers { next: i64, step: i64, begun: Vec<u8> },
}

impl Long {
    /// `unit` without end.
    pub(crate) fn repeat(unit: &[u8]) -> Self {
        Self::new(Source::Repeat(unit.into()), None)
    }

    /// What the device of that path gives.
    pub(crate) fn device(path: &str, seed: u64) -> Option<Self> {
        match path {
            "/dev/zero" => Some(Self::repeat(&[0])),
            "/dev/random" | "/dev/urandom" => Some(Self::new(Source::Noise(seed | 1), None)),
            _ => None,
        }
    }

    /// The lines of `seq from step to`; `step` is not 0.
    pub(crate) fn numbers(from: i64, step: i64, to: i64) -> Self {
        let source = Source::Numbers {
            next: from,
            step,
            begun: Vec::new(),
        };
        Self::new(source, Some(digits(from, step, to)))
    }

    fn new(source: Source, left: Option<u64>) -> Self {
        Self { source, left, at: 0 }
    }

    /// Bytes that are left; `None` where it never ends.
    pub(crate) fn left(&self) -> Option<u64> {
        self.left
    }

    /// No more than the next `most` bytes of it.
    pub(crate) fn first(mut self, most: u64) -> Self {
        self.left = Some(self.left.map_or(most, |left| left.min(most)));
        self
    }

    /// No more than its next `most` lines; where it has none, all of it.
    pub(crate) fn first_lines(self, most: u64) -> Self {
        let bytes = match &self.source {
            Source::Repeat(unit) if unit.ends_with(b"\n") && self.at == 0 => {
                let lines = count(unit.iter().filter(|b| **b == b'\n').count());
                Some(most / lines.max(1) * count(unit.len())).filter(|_| lines == 1)
            }
            Source::Numbers { next, step, begun } if begun.is_empty() => {
                let last = i128::from(*next) + i128::from(*step) * (i128::from(most) - 1);
                let last = i64::try_from(last).unwrap_or(if *step > 0 { i64::MAX } else { i64::MIN });
                Some(if most == 0 { 0 } else { digits(*next, *step, last) })
            }
            _ => None,
        };
        match bytes {
            Some(bytes) => self.first(bytes),
            None => self,
        }
    }

    /// The next bytes, at most so many.
    pub(crate) fn take(&mut self, most: usize) -> Vec<u8> {
        let most = self
            .left
            .map_or(most, |left| most.min(usize::try_from(left).unwrap_or(usize::MAX)));
        let out = match &mut self.source {
            Source::Repeat(unit) => {
                let skip = usize::try_from(self.at % count(unit.len()).max(1)).unwrap_or(0);
                unit.iter().copied().cycle().skip(skip).take(most).collect()
            }
            Source::Noise(seed) => (0..count(most)).map(|n| noise(*seed ^ (self.at + n))).collect(),
            Source::Numbers { next, step, begun } => {
                let mut out = std::mem::take(begun);
                while out.len() < most {
                    out.extend_from_slice(format!("{next}\n").as_bytes());
                    *next = next.saturating_add(*step);
                }
                *begun = out.split_off(most);
                out
            }
        };
        self.at += count(out.len());
        self.left = self.left.map(|left| left - count(out.len()));
        out
    }

    /// Pass over the next `most` bytes.
    pub(crate) fn skip(&mut self, most: u64) {
        let most = self.left.map_or(most, |left| most.min(left));
        let Source::Numbers { next, step, begun } = &mut self.source else {
            self.at = self.at.wrapping_add(most);
            self.left = self.left.map(|left| left - most);
            return;
        };
        let held = count(begun.len());
        let mut over = most;
        if most >= held {
            // The number in which the byte behind them stands.
            let (mut low, mut high) = (0_i64, i64::try_from(most).unwrap_or(i64::MAX));
            while low < high {
                let middle = low + (high - low) / 2;
                let at = next.saturating_add(step.saturating_mul(middle));
                if digits(*next, *step, at) > most - held {
                    high = middle;
                } else {
                    low = middle + 1;
                }
            }
            let at = next.saturating_add(step.saturating_mul(low));
            let before = if low == 0 {
                0
            } else {
                digits(*next, *step, at.saturating_sub(*step))
            };
            (*next, *begun) = (at, Vec::new());
            self.left = self.left.map(|left| left - held - before);
            over = most - held - before;
        }
        self.take(usize::try_from(over).unwrap_or(usize::MAX));
    }

    /// The last bytes, at most so many; `None` where it never ends.
    pub(crate) fn last(mut self, most: usize) -> Option<Vec<u8>> {
        let left = self.left?;
        self.skip(left.saturating_sub(count(most)));
        Some(self.take(most))
    }

    /// The last lines, at most so many; `None` where it never ends.
    pub(crate) fn last_lines(self, most: usize) -> Option<Vec<u8>> {
        let line = match &self.source {
            Source::Repeat(unit) => unit.len(),
            Source::Noise(_) => 4_096,
            Source::Numbers { .. } => 21,
        };
        let part = self.last(line.saturating_mul(most + 1).min(KEPT))?;
        let lines: Vec<&[u8]> = part.split_inclusive(|b| *b == b'\n').collect();
        Some(
            lines
                .get(lines.len().saturating_sub(most)..)
                .unwrap_or_default()
                .concat(),
        )
    }

    /// Lines, words and bytes; `None` where it never ends.
    pub(crate) fn counted(mut self) -> Option<[u64; 3]> {
        let left = self.left?;
        let whole = match &self.source {
            Source::Repeat(unit) => count(unit.len()).max(1),
            // What is random is as random in its first part.
            Source::Noise(_) => left.clamp(1, 1 << 16),
            Source::Numbers { next, step, begun } => {
                let held = count(begun.len());
                let (mut low, mut high) = (0_u64, left);
                while low < high {
                    let middle = low + (high - low).div_ceil(2);
                    let last = i128::from(*next) + i128::from(*step) * (i128::from(middle) - 1);
                    let fits =
                        i64::try_from(last).is_ok_and(|last| digits(*next, *step, last) + held <= left);
                    if fits {
                        low = middle;
                    } else {
                        high = middle - 1;
                    }
                }
                let lines = low + u64::from(held > 0);
                return Some([lines, lines, left]);
            }
        };
        let part = self.take(usize::try_from(whole).unwrap_or(0));
        let rest = self.take(usize::try_from(left % whole).unwrap_or(0));
        let lines = |bytes: &[u8]| count(bytes.iter().filter(|b| **b == b'\n').count());
        let words = |bytes: &[u8]| {
            let words = bytes.split(u8::is_ascii_whitespace);
            count(words.filter(|w| w.iter().any(u8::is_ascii_graphic)).count())
        };
        let times = left / whole;
        Some([
            lines(&part) * times + lines(&rest),
            words(&part) * times + words(&rest),
            left,
        ])
    }
}

fn count(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn noise(place: u64) -> u8 {
    let mut x = place.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^= x >> 29;
    x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x >> 56).to_le_bytes()[0]
}

/// Bytes of the lines of `seq from step to`.
fn digits(from: i64, step: i64, to: i64) -> u64 {
    let (mut at, step, to) = (i128::from(from), i128::from(step), i128::from(to));
    let mut bytes = 0_u64;
    // Numbers of one length and sign at a time: there are at most forty of these.
    while step != 0 && ((step > 0 && at <= to) || (step < 0 && at >= to)) {
        let text = at.to_string();
        let size = u32::try_from(text.len()).unwrap_or(0);
        let (nearest, farthest) = if at < 0 {
            (-10_i128.pow(size.saturating_sub(2)), 1 - 10_i128.pow(size - 1))
        } else {
            (
                10_i128.pow(size - 1) * i128::from(size > 1),
                10_i128.pow(size) - 1,
            )
        };
        let (low, high) = (nearest.min(farthest), nearest.max(farthest));
        let end = if step > 0 { high.min(to) } else { low.max(to) };
        let lines = (end - at) / step + 1;
        bytes = bytes.saturating_add(
            u64::try_from(lines)
                .unwrap_or(0)
                .saturating_mul(u64::from(size) + 1),
        );
        at += lines * step;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_what_the_real_stream_would_give() {
        for (from, step, to) in [
            (1, 1, 1_234),
            (-120, 7, 1_050),
            (1_005, -3, -1_200),
            (5, 1, 4),
            (0, 1, 0),
        ] {
            let mut real = String::new();
            let mut at = from;
            while (step > 0 && at <= to) || (step < 0 && at >= to) {
                real.push_str(&format!("{at}\n"));
                at += step;
            }
            let long = Long::numbers(from, step, to);
            let all = real.as_bytes();
            assert_eq!(long.left(), Some(count(all.len())), "{from} {step} {to}");
            assert_eq!(long.clone().take(usize::MAX >> 1), all);
            assert_eq!(
                long.clone().last(17).unwrap(),
                all[all.len().saturating_sub(17)..]
            );
            let lines = count(real.lines().count());
            assert_eq!(long.clone().counted(), Some([lines, lines, count(all.len())]));
            let two: String = real.split_inclusive('\n').take(2).collect();
            assert_eq!(long.first_lines(2).take(1_000), two.as_bytes());
        }
        let mut yes = Long::repeat(b"ab c\n").first(12);
        assert_eq!(yes.clone().counted(), Some([2, 5, 12]));
        assert_eq!(yes.clone().last(4).unwrap(), b"c\nab");
        assert_eq!(
            (yes.take(3), yes.take(99)),
            (b"ab ".to_vec(), b"c\nab c\nab".to_vec())
        );
        let random = Long::device("/dev/urandom", 7).unwrap().first(1 << 20);
        let [lines, _, bytes] = random.clone().counted().unwrap();
        assert_eq!(bytes, 1 << 20);
        assert!((3_000..5_500).contains(&lines), "{lines}");
        assert_eq!(random.clone().take(999), random.clone().take(999));
    }
}
