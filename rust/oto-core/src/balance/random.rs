//! `Random`: every choice equally likely.

/// An index below `choices` from 64 random bits (multiply-shift; the bias is below 2⁻³²).
#[must_use]
pub fn pick(choices: usize, random: u64) -> usize {
    ((u128::from(random) * choices.max(1) as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::pick;

    #[test]
    fn the_whole_range_is_reached() {
        assert_eq!(pick(3, 0), 0);
        assert_eq!(pick(3, u64::MAX), 2);
        assert_eq!(pick(3, u64::MAX / 2), 1);
    }
}
