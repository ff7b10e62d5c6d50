//! Putting lists in order with one machine for all: each kind of row that the library's sort is used for brings a copy of it into the
//! browser, of some kilobytes, and so does each kind of key and value that a `BTreeMap` is put together of.

/// Put what has the least `key` first. What has the same stays in its order.
pub(crate) fn by<T>(rows: &mut Vec<T>, key: impl Fn(&T) -> u128) {
    let mut order: Vec<(u128, usize)> = rows.iter().map(key).zip(0..).collect();
    // No two are the same: the place is a part of it.
    order.sort_unstable();
    let mut taken: Vec<Option<T>> = std::mem::take(rows).into_iter().map(Some).collect();
    rows.extend(
        order
            .into_iter()
            .filter_map(|(_, place)| taken.get_mut(place)?.take()),
    );
}

/// Change what `rows`, which are in the order of their keys, have for `key`; where that is nothing, `new` before it is changed.
pub(crate) fn update<K: Ord, V>(rows: &mut Vec<(K, V)>, key: K, new: V, change: impl FnOnce(&mut V)) {
    let place = match rows.binary_search_by(|(known, _)| known.cmp(&key)) {
        Ok(place) => place,
        Err(place) => {
            rows.insert(place, (key, new));
            place
        }
    };
    if let Some((_, value)) = rows.get_mut(place) {
        change(value);
    }
}

/// The key that puts the greatest first.
pub(crate) fn greatest(number: impl Into<u128>) -> u128 {
    u128::MAX - number.into()
}

/// The key of a number that may be negative.
pub(crate) fn signed(number: i64) -> u128 {
    u128::from(number.abs_diff(i64::MIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_their_keys_and_equal_ones_stay_as_they_were() {
        let mut rows = vec![(3_u32, 'a'), (1, 'b'), (3, 'c'), (2, 'd'), (1, 'e')];
        by(&mut rows, |(n, _)| u128::from(*n));
        assert_eq!(rows, [(1, 'b'), (1, 'e'), (2, 'd'), (3, 'a'), (3, 'c')]);
        by(&mut rows, |(n, _)| greatest(*n));
        assert_eq!(rows, [(3, 'a'), (3, 'c'), (2, 'd'), (1, 'b'), (1, 'e')]);
    }

    #[test]
    fn what_is_updated_stays_in_the_order_of_its_keys() {
        let mut counts = Vec::new();
        for name in ["web", "db", "web", "mail", "db", "web"] {
            update(&mut counts, name, 0, |count| *count += 1);
        }
        assert_eq!(counts, [("db", 2), ("mail", 1), ("web", 3)]);
    }

    #[test]
    fn negative_numbers_come_before_others() {
        let mut rows = vec![0, i64::MAX, -1, i64::MIN, 7];
        by(&mut rows, |n| signed(*n));
        assert_eq!(rows, [i64::MIN, -1, 0, 7, i64::MAX]);
    }
}
