//! Token buckets: so many calls at once, so many in the long run. One word, whole numbers, no drift.
//!
//! Every `interval_ms` there is a tick that brings `tokens`, up to `capacity`; ticks are the multiples
//! of the interval. The word is how many tokens of all that ever came are spent or spilled, so what
//! the bucket holds is a difference, and taking one is adding one.

/// How a bucket is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refill {
    capacity: u64,
    interval_ms: u64,
    tokens: u64,
}

/// The most tokens a bucket may hold and get at a time, and the longest interval in milliseconds.
const MOST: u64 = u32::MAX as u64;

impl Refill {
    /// `tokens` every `interval_ms` milliseconds, `capacity` at the most.
    ///
    /// # Errors
    /// A number is 0 or above 4,294,967,295; field, problem and fix.
    pub fn new(capacity: u64, interval_ms: u64, tokens: u64) -> Result<Self, String> {
        for (name, number) in [
            ("capacity", capacity),
            ("refillRequestIntervalMs", interval_ms),
            ("refillRequestedTokens", tokens),
        ] {
            if !(1..=MOST).contains(&number) {
                return Err(format!("{name}: {number} cannot be; use 1 to {MOST}"));
            }
        }
        Ok(Self {
            capacity,
            interval_ms,
            tokens,
        })
    }

    /// Tokens it may hold.
    #[must_use]
    pub fn capacity(self) -> u64 {
        self.capacity
    }

    /// Milliseconds in which an empty bucket becomes full.
    #[must_use]
    pub fn fill_ms(self) -> u64 {
        self.capacity.div_ceil(self.tokens) * self.interval_ms
    }

    /// All tokens that ever came, the first filling included.
    fn supply(self, now_ms: u64) -> u64 {
        (now_ms / self.interval_ms)
            .saturating_mul(self.tokens)
            .saturating_add(self.capacity)
    }

    /// The word of a full bucket.
    pub(super) fn full(self, now_ms: u64) -> u64 {
        self.supply(now_ms) - self.capacity
    }

    /// Tokens in the bucket.
    pub(super) fn available(self, word: u64, now_ms: u64) -> u64 {
        self.supply(now_ms).saturating_sub(word).min(self.capacity)
    }

    /// Take tokens, all or none: the new word, or none.
    pub(super) fn take(self, word: u64, tokens: u64, now_ms: u64) -> Option<u64> {
        let word = word.max(self.full(now_ms));
        (self.supply(now_ms).saturating_sub(word) >= tokens).then(|| word + tokens)
    }

    /// Milliseconds until there are so many tokens; none when the bucket never holds them.
    pub(super) fn wait_ms(self, word: u64, tokens: u64, now_ms: u64) -> Option<u64> {
        if tokens > self.capacity {
            return None;
        }
        let word = word.max(self.full(now_ms));
        let missing = word
            .saturating_add(tokens)
            .saturating_sub(self.supply(now_ms));
        let ticks = missing.div_ceil(self.tokens);
        if ticks == 0 {
            return Some(0);
        }
        let at = (now_ms / self.interval_ms + ticks).saturating_mul(self.interval_ms);
        Some(at - now_ms)
    }

    /// Whether it has been full for a whole tick: forgetting it then changes nothing.
    pub(super) fn is_idle(self, word: u64, now_ms: u64) -> bool {
        self.supply(now_ms).saturating_sub(word) >= self.capacity + self.tokens
    }

    /// Both rates as one word, to be found again by [`Refill::from_words`].
    pub(super) fn words(self) -> (u64, u64) {
        (self.interval_ms << 32 | self.tokens, self.capacity)
    }

    pub(super) fn from_words(rates: u64, capacity: u64) -> Option<Self> {
        Self::new(capacity, rates >> 32, rates & MOST).ok()
    }
}

/// A bucket of its own, apart from any table.
#[derive(Clone, Copy, Debug)]
pub struct TokenBucket {
    refill: Refill,
    word: u64,
}

impl TokenBucket {
    /// A full bucket.
    #[must_use]
    pub fn new(refill: Refill) -> Self {
        Self { refill, word: 0 }
    }

    /// Take tokens, all or none; tell whether they were there.
    pub fn take(&mut self, tokens: u64, now_ms: u64) -> bool {
        match self.refill.take(self.word, tokens, now_ms) {
            Some(word) => {
                self.word = word;
                true
            }
            None => false,
        }
    }

    /// Tokens in it.
    #[must_use]
    pub fn available(&self, now_ms: u64) -> u64 {
        self.refill.available(self.word, now_ms)
    }

    /// Milliseconds until there are so many tokens; none when it never holds them.
    #[must_use]
    pub fn wait_ms(&self, tokens: u64, now_ms: u64) -> Option<u64> {
        self.refill.wait_ms(self.word, tokens, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_its_capacity_at_once_and_its_rate_afterwards() {
        let mut bucket = TokenBucket::new(Refill::new(10, 100, 3).expect("valid"));
        let taken =
            |bucket: &mut TokenBucket, now| (0..100).filter(|_| bucket.take(1, now)).count();
        assert_eq!(taken(&mut bucket, 50), 10);
        assert_eq!(taken(&mut bucket, 99), 0);
        assert_eq!(bucket.wait_ms(1, 99), Some(1));
        assert_eq!(bucket.wait_ms(4, 99), Some(101));
        assert_eq!(taken(&mut bucket, 100), 3);
        assert_eq!(taken(&mut bucket, 250), 3);
        assert_eq!(
            taken(&mut bucket, 10_000),
            10,
            "it never holds more than its capacity"
        );
        assert_eq!(bucket.wait_ms(11, 10_000), None);
    }

    #[test]
    fn nothing_overflows_at_the_ends_of_the_ranges() {
        let refill = Refill::new(MOST, 1, MOST).expect("valid");
        let mut bucket = TokenBucket::new(refill);
        assert!(bucket.take(MOST, u64::MAX / 2));
        assert!(Refill::new(0, 1, 1).is_err());
        assert!(Refill::new(1, 1, MOST + 1).is_err());
        assert_eq!(
            Refill::from_words(refill.words().0, refill.words().1),
            Some(refill)
        );
    }
}
