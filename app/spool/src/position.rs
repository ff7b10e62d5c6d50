//! Where in a spool a reader is.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A place between two lines: a segment's number and the byte offset in it. As text `segment:offset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct Position {
    /// Number of the segment.
    pub segment: u64,
    /// Bytes from the start of the segment.
    pub offset: u64,
}

impl Position {
    /// Before everything: a reader that starts here reads the oldest segment that there is, without calling it a gap.
    pub const START: Self = Self {
        segment: 0,
        offset: 0,
    };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.segment, self.offset)
    }
}

/// Text that is not `segment:offset`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a spool position: two numbers with a colon between them are expected, such as 12:4096")]
pub struct PositionError;

impl FromStr for Position {
    type Err = PositionError;
    fn from_str(s: &str) -> Result<Self, PositionError> {
        let (segment, offset) = s.split_once(':').ok_or(PositionError)?;
        Ok(Self {
            segment: segment.parse().map_err(|_| PositionError)?,
            offset: offset.parse().map_err(|_| PositionError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_round_and_order_is_reading_order() {
        let at = Position {
            segment: 12,
            offset: 4096,
        };
        assert_eq!(at.to_string().parse(), Ok(at));
        assert!(
            Position::START < at
                && at
                    < Position {
                        segment: 13,
                        offset: 0
                    }
        );
        for bad in ["", "12", "a:b", "1:2:3", "-1:0"] {
            assert_eq!(bad.parse::<Position>(), Err(PositionError));
        }
    }
}
