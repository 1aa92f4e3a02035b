//! Which buckets are beside others, and what is in them.

use fearless_simd::{Level, dispatch};

/// Buckets beside some, told apart by the last bits of their number.
pub(super) struct Beside {
    /// Bit n: bucket n is one of the some. What is at one end is beyond the other end, too.
    some: Box<[u64; Self::WORDS + 2]>,
    /// Bit n: bucket n is beside one of them.
    beside: Box<[u64; Self::WORDS]>,
}

impl Default for Beside {
    fn default() -> Self {
        Self {
            some: Box::new([0; Self::WORDS + 2]),
            beside: Box::new([0; Self::WORDS]),
        }
    }
}

impl Beside {
    /// All buckets of a part of 2^256th of f1's range, and more.
    const WORDS: usize = 1 << 11;

    /// Makes it those beside these buckets.
    pub(super) fn set(&mut self, level: Level, buckets: &[u32]) {
        self.some.fill(0);
        for bucket in buckets {
            self.some[1 + (bucket / 64) as usize % Self::WORDS] |= 1_u64.wrapping_shl(*bucket);
        }
        self.some[0] = self.some[Self::WORDS];
        self.some[Self::WORDS + 1] = self.some[1];
        let (some, beside) = (&*self.some, &mut *self.beside);
        dispatch!(level, _ => {
            for at in 0..Self::WORDS {
                let [before, word, after] = [some[at], some[at + 1], some[at + 2]];
                beside[at] = (word << 1 | before >> 63) | (word >> 1 | after << 63);
            }
        });
    }

    /// 1 if `bucket` is in, or maybe another with the same last bits, and 0 if not.
    #[inline(always)]
    pub(super) fn count(&self, bucket: u32) -> usize {
        (self.beside[(bucket / 64) as usize % Self::WORDS].wrapping_shr(bucket) & 1) as usize
    }
}

/// X values by bucket: chains that go by the last bits of its number.
pub(super) struct Chains {
    /// Of each chain the first one, plus 1; 0 if there is none.
    heads: Vec<u32>,
    /// Of each one that after it, likewise.
    next: Vec<u32>,
}

impl Chains {
    /// `count` of them, a power of two.
    pub(super) fn new(count: usize) -> Self {
        Self {
            heads: vec![0; count],
            next: Vec::new(),
        }
    }

    /// Makes chains of those that are in these buckets.
    pub(super) fn set(&mut self, buckets: &[u32]) {
        self.heads.fill(0);
        self.next.resize(buckets.len(), 0);
        let last = self.heads.len() - 1;
        for (number, (bucket, next)) in (1..).zip(buckets.iter().zip(&mut self.next)) {
            let head = &mut self.heads[*bucket as usize & last];
            *next = *head;
            *head = number;
        }
    }

    /// The first one of the chain with this bucket, and maybe others, and whether there is one.
    #[inline(always)]
    pub(super) fn first(&self, bucket: u32) -> (u32, bool) {
        let number = self.heads[bucket as usize & (self.heads.len() - 1)];
        (number.wrapping_sub(1), number != 0)
    }

    /// The one after this, and whether there is one.
    #[inline(always)]
    pub(super) fn after(&self, one: u32) -> (u32, bool) {
        let number = self.next[one as usize];
        (number.wrapping_sub(1), number != 0)
    }
}
