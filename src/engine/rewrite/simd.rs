//! Looks at many bytes at once: which of a block are not plain, not white space, not digits, without a branch for
//! each. Three forms, told apart by type: AVX2 where the processor has it, SSE2 on every other x86-64, elsewhere
//! eight bytes in a word. [`run`] chooses at run time and compiles the work once for each form. What CSV looks at
//! stands in a part of its own.

#![cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "the forms of another processor")
)]

/// Bytes of the large block.
pub(super) const BLOCK: usize = 64;

/// A way to look at blocks. In each mask bit `n` stands for byte `n`.
pub(super) trait Lanes: Copy {
    /// The bytes that are not plain string content (ASCII, no quote, backslash or control; for a key no DEL).
    fn special<const KEY: bool>(self, block: &[u8; BLOCK]) -> u64;
    /// The same for 16 bytes.
    fn special_16<const KEY: bool>(self, block: &[u8; 16]) -> u32;
    /// The bytes that are not JSON white space.
    fn not_space(self, block: &[u8; 16]) -> u32;
    /// The bytes that are not digits.
    fn not_digit(self, block: &[u8; 16]) -> u32;
    /// The bytes in which two blocks differ.
    fn differ(self, a: &[u8; 32], b: &[u8; 32]) -> u32;
    /// Does `work` with these, compiled for them.
    fn run<W: Work>(self, work: W) -> W::Output;
}

/// What is compiled once for each form of [`Lanes`]. `work` and what it calls with its lanes must be
/// `#[inline(always)]`: only what is inlined is compiled for the processor.
pub(super) trait Work {
    type Output;
    fn work<L: Lanes>(self, lanes: L) -> Self::Output;
}

/// The form that this processor can do.
#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    Words(Words),
    #[cfg(target_arch = "x86_64")]
    Sse2(Sse2),
    #[cfg(target_arch = "x86_64")]
    Avx2(Avx2),
}

impl Form {
    /// The widest one.
    pub(super) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            Avx2::detect().map_or(Self::Sse2(Sse2), Self::Avx2)
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            Self::Words(Words)
        }
    }

    /// All that this processor can do, the plain one first.
    pub(super) fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            [Self::Words(Words), Self::Sse2(Sse2)]
                .into_iter()
                .chain(Avx2::detect().map(Self::Avx2))
                .collect()
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            vec![Self::Words(Words)]
        }
    }
}

/// Does `work` in this form.
#[inline]
pub(super) fn run<W: Work>(form: Form, work: W) -> W::Output {
    match form {
        Form::Words(lanes) => lanes.run(work),
        #[cfg(target_arch = "x86_64")]
        Form::Sse2(lanes) => lanes.run(work),
        #[cfg(target_arch = "x86_64")]
        Form::Avx2(lanes) => lanes.run(work),
    }
}

/// Eight bytes in a word.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words;

/// Sixteen bytes; every x86-64 has it.
#[cfg(target_arch = "x86_64")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Sse2;

/// What every processor of this kind can do.
#[cfg(target_arch = "x86_64")]
pub(super) type Plain = Sse2;
#[cfg(target_arch = "x86_64")]
pub(super) const PLAIN: Plain = Sse2;
#[cfg(not(target_arch = "x86_64"))]
pub(super) type Plain = Words;
#[cfg(not(target_arch = "x86_64"))]
pub(super) const PLAIN: Plain = Words;

#[cfg(target_arch = "x86_64")]
pub(super) use avx2::Avx2;

macro_rules! lanes {
    ($name:ty, $form:ident) => {
        impl Lanes for $name {
            #[inline(always)]
            fn special<const KEY: bool>(self, block: &[u8; BLOCK]) -> u64 {
                $form::special::<KEY>(block)
            }

            #[inline(always)]
            fn special_16<const KEY: bool>(self, block: &[u8; 16]) -> u32 {
                $form::special_16::<KEY>(block)
            }

            #[inline(always)]
            fn not_space(self, block: &[u8; 16]) -> u32 {
                $form::not_space(block)
            }

            #[inline(always)]
            fn not_digit(self, block: &[u8; 16]) -> u32 {
                $form::not_digit(block)
            }

            #[inline(always)]
            fn differ(self, a: &[u8; 32], b: &[u8; 32]) -> u32 {
                $form::differ(a, b)
            }

            #[inline]
            fn run<W: Work>(self, work: W) -> W::Output {
                work.work(self)
            }
        }
    };
}

lanes!(Words, words);
#[cfg(target_arch = "x86_64")]
lanes!(Sse2, sse2);

#[cfg(target_arch = "x86_64")]
mod avx2 {
    use std::arch::x86_64::{
        __m256i, _mm256_cmpeq_epi8, _mm256_cmpgt_epi8, _mm256_movemask_epi8, _mm256_or_si256,
        _mm256_set1_epi8, _mm256_xor_si256,
    };
    use std::mem::transmute;

    use super::{BLOCK, Lanes, Sse2, Work};

    /// Thirty-two bytes. Only [`Avx2::detect`] makes one: who holds it runs on a processor that has AVX2 and BMI.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Avx2(());

    impl Avx2 {
        /// If the processor has what it takes.
        pub(super) fn detect() -> Option<Self> {
            (is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("bmi1")
                && is_x86_feature_detected!("bmi2")
                && is_x86_feature_detected!("lzcnt")
                && is_x86_feature_detected!("popcnt"))
            .then_some(Self(()))
        }
    }

    /// Calls what takes and gives values alone.
    macro_rules! avx2 {
        ($call:expr) => {{
            // SAFETY: no pointer is involved; an `Avx2` is there only where the processor has AVX2. `transmute` is
            // between types of the same size for which all bits are good.
            #[allow(
                unsafe_code,
                reason = "the compiler cannot see that the processor has AVX2"
            )]
            unsafe {
                $call
            }
        }};
    }

    #[inline(always)]
    fn load(bytes: &[u8; 32]) -> __m256i {
        avx2!(transmute::<[u8; 32], __m256i>(*bytes))
    }

    #[inline(always)]
    fn marks<const KEY: bool>(bytes: &[u8; 32]) -> u64 {
        let x = load(bytes);
        // As signed numbers, what is not ASCII lies below all else; `x ^ 2` brings the quote next to the controls.
        let marks = avx2!({
            let low = _mm256_cmpgt_epi8(
                _mm256_set1_epi8(0x21),
                _mm256_xor_si256(x, _mm256_set1_epi8(2)),
            );
            let mut marks =
                _mm256_or_si256(low, _mm256_cmpeq_epi8(x, _mm256_set1_epi8(b'\\' as i8)));
            if KEY {
                marks = _mm256_or_si256(marks, _mm256_cmpeq_epi8(x, _mm256_set1_epi8(0x7f)));
            }
            _mm256_movemask_epi8(marks)
        });
        u64::from(marks as u32)
    }

    impl Lanes for Avx2 {
        #[inline(always)]
        fn special<const KEY: bool>(self, block: &[u8; BLOCK]) -> u64 {
            let halves = block.as_chunks::<32>().0;
            marks::<KEY>(&halves[0]) | marks::<KEY>(&halves[1]) << 32
        }

        #[inline(always)]
        fn special_16<const KEY: bool>(self, block: &[u8; 16]) -> u32 {
            Sse2.special_16::<KEY>(block)
        }

        #[inline(always)]
        fn not_space(self, block: &[u8; 16]) -> u32 {
            Sse2.not_space(block)
        }

        #[inline(always)]
        fn not_digit(self, block: &[u8; 16]) -> u32 {
            Sse2.not_digit(block)
        }

        #[inline(always)]
        fn differ(self, a: &[u8; 32], b: &[u8; 32]) -> u32 {
            let (a, b) = (load(a), load(b));
            !avx2!(_mm256_movemask_epi8(_mm256_cmpeq_epi8(a, b))) as u32
        }

        #[inline]
        fn run<W: Work>(self, work: W) -> W::Output {
            avx2!(compiled(self, work))
        }
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    fn compiled<W: Work>(lanes: Avx2, work: W) -> W::Output {
        work.work(lanes)
    }
}

#[cfg(target_arch = "x86_64")]
mod sse2 {
    use std::arch::x86_64::{
        __m128i, _mm_add_epi8, _mm_cmpeq_epi8, _mm_cmpgt_epi8, _mm_movemask_epi8, _mm_or_si128,
        _mm_set_epi64x, _mm_set1_epi8, _mm_xor_si128,
    };

    /// Calls intrinsics that take and give values alone.
    macro_rules! sse2 {
        ($call:expr) => {{
            // SAFETY: no pointer is involved, and every x86-64 processor has SSE2.
            #[allow(
                unsafe_code,
                reason = "the compiler cannot see that the processor has SSE2"
            )]
            unsafe {
                $call
            }
        }};
    }

    /// One unaligned load, once compiled.
    #[inline(always)]
    fn load(bytes: &[u8; 16]) -> __m128i {
        let value = u128::from_le_bytes(*bytes);
        sse2!(_mm_set_epi64x((value >> 64) as i64, value as i64))
    }

    #[inline(always)]
    fn splat(b: u8) -> __m128i {
        sse2!(_mm_set1_epi8(b as i8))
    }

    #[inline(always)]
    fn mask(marks: __m128i) -> u32 {
        sse2!(_mm_movemask_epi8(marks)) as u32
    }

    #[inline(always)]
    fn equal(a: __m128i, b: __m128i) -> __m128i {
        sse2!(_mm_cmpeq_epi8(a, b))
    }

    /// As signed numbers.
    #[inline(always)]
    fn greater(a: __m128i, b: __m128i) -> __m128i {
        sse2!(_mm_cmpgt_epi8(a, b))
    }

    #[inline(always)]
    fn or(a: __m128i, b: __m128i) -> __m128i {
        sse2!(_mm_or_si128(a, b))
    }

    #[inline(always)]
    fn part<const N: usize>(block: &[u8; N], at: usize) -> __m128i {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&block[at * 16..at * 16 + 16]);
        load(&bytes)
    }

    #[inline(always)]
    fn marks<const KEY: bool>(x: __m128i) -> u32 {
        // As signed numbers, what is not ASCII lies below all else; `x ^ 2` brings the quote next to the controls.
        let low = greater(splat(0x21), sse2!(_mm_xor_si128(x, splat(2))));
        let mut marks = or(low, equal(x, splat(b'\\')));
        if KEY {
            marks = or(marks, equal(x, splat(0x7f)));
        }
        mask(marks)
    }

    #[inline(always)]
    pub(super) fn special<const KEY: bool>(block: &[u8; 64]) -> u64 {
        let [a, b, c, d] = [0, 1, 2, 3].map(|at| u64::from(marks::<KEY>(part(block, at))));
        a | b << 16 | c << 32 | d << 48
    }

    #[inline(always)]
    pub(super) fn special_16<const KEY: bool>(block: &[u8; 16]) -> u32 {
        marks::<KEY>(load(block))
    }

    #[inline(always)]
    pub(super) fn not_space(block: &[u8; 16]) -> u32 {
        let x = load(block);
        let is = |b| equal(x, splat(b));
        let space = or(or(is(b' '), is(b'\n')), or(is(b'\r'), is(b'\t')));
        mask(space) ^ 0xffff
    }

    #[inline(always)]
    pub(super) fn not_digit(block: &[u8; 16]) -> u32 {
        // Moves the digits to the lowest ten signed numbers.
        let x = sse2!(_mm_add_epi8(load(block), splat(0x80 - b'0')));
        mask(greater(x, splat(0x80 + 9)))
    }

    #[inline(always)]
    pub(super) fn differ(a: &[u8; 32], b: &[u8; 32]) -> u32 {
        let [low, high] = [0, 1].map(|at| mask(equal(part(a, at), part(b, at))));
        !(low | high << 16)
    }
}

mod words {
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);

    const fn splat(b: u8) -> u64 {
        u64::from_ne_bytes([b; 8])
    }

    /// The marks of the words' bytes (their high bits), as one bit a byte.
    #[inline(always)]
    fn gather<const N: usize>(block: &[u8; N], marks: impl Fn(u64) -> u64) -> u64 {
        let mut mask = 0;
        for (at, word) in block.as_chunks::<8>().0.iter().enumerate() {
            let bits = (marks(u64::from_le_bytes(*word)) & HIGHS) >> 7;
            // Each byte's bit meets its place in the top byte; no two sums meet.
            mask |= (bits.wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * at);
        }
        mask
    }

    /// Bytes that are zero, exactly.
    #[inline(always)]
    fn zero(word: u64) -> u64 {
        !(((word & !HIGHS) + !HIGHS) | word)
    }

    /// Bytes of `word`, all ASCII or marked elsewhere, that are below `n` (at most 0x80), exactly.
    #[inline(always)]
    fn below(word: u64, n: u8) -> u64 {
        !((word & !HIGHS) + splat(0x80 - n)) & !word
    }

    #[inline(always)]
    fn marks<const KEY: bool>(word: u64) -> u64 {
        let mut marks =
            word | below(word, 0x20) | zero(word ^ splat(b'"')) | zero(word ^ splat(b'\\'));
        if KEY {
            marks |= zero(word ^ splat(0x7f));
        }
        marks
    }

    #[inline(always)]
    pub(super) fn special<const KEY: bool>(block: &[u8; 64]) -> u64 {
        gather(block, marks::<KEY>)
    }

    #[inline(always)]
    pub(super) fn special_16<const KEY: bool>(block: &[u8; 16]) -> u32 {
        gather(block, marks::<KEY>) as u32
    }

    #[inline(always)]
    pub(super) fn not_space(block: &[u8; 16]) -> u32 {
        let space = |word| {
            [b' ', b'\n', b'\r', b'\t']
                .iter()
                .fold(0, |marks, b| marks | zero(word ^ splat(*b)))
        };
        gather(block, |word| !space(word)) as u32
    }

    #[inline(always)]
    pub(super) fn not_digit(block: &[u8; 16]) -> u32 {
        gather(block, |word| !(below(word, b'9' + 1) & !below(word, b'0'))) as u32
    }

    #[inline(always)]
    pub(super) fn differ(a: &[u8; 32], b: &[u8; 32]) -> u32 {
        let mut xor = [0; 32];
        for (to, (a, b)) in xor.iter_mut().zip(a.iter().zip(b)) {
            *to = a ^ b;
        }
        gather(&xor, |word| !zero(word)) as u32
    }
}

// Separators of CSV, a bit for each byte of a block of 64. With AVX2 and carry-less multiplication where the
// processor has them, else eight bytes in a word.

/// What one block of CSV holds; the lowest bit stands for the first byte.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Separators {
    pub(super) quote: u64,
    pub(super) delimiter: u64,
    pub(super) lf: u64,
    pub(super) cr: u64,
    /// Parity of the quotes up to and with each byte.
    pub(super) parity: u64,
}

/// Fills `to` from as many blocks.
#[inline]
pub(super) fn separators(blocks: &[[u8; BLOCK]], delimiter: u8, to: &mut [Separators]) {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("pclmulqdq") {
        // SAFETY: the processor has both.
        #[allow(unsafe_code, reason = "the compiler cannot see what the processor has")]
        unsafe {
            separators_avx2::separators(blocks, delimiter, to);
        }
        return;
    }
    separators_words::separators(blocks, delimiter, to);
}

#[cfg(target_arch = "x86_64")]
mod separators_avx2 {
    use std::arch::x86_64::{
        __m256i, _mm_clmulepi64_si128, _mm_cvtsi128_si64, _mm_set_epi64x, _mm_set1_epi8,
        _mm256_cmpeq_epi8, _mm256_movemask_epi8, _mm256_set_epi64x, _mm256_set1_epi8,
    };

    use super::{BLOCK, Separators};

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load(block: &[u8; BLOCK], at: usize) -> __m256i {
        // One unaligned load, once compiled.
        let word = |n: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&block[at + 8 * n..at + 8 * n + 8]);
            i64::from_le_bytes(bytes)
        };
        _mm256_set_epi64x(word(3), word(2), word(1), word(0))
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn equal(low: __m256i, high: __m256i, byte: __m256i) -> u64 {
        let low = _mm256_movemask_epi8(_mm256_cmpeq_epi8(low, byte)) as u32;
        let high = _mm256_movemask_epi8(_mm256_cmpeq_epi8(high, byte)) as u32;
        u64::from(low) | u64::from(high) << 32
    }

    #[target_feature(enable = "avx2,pclmulqdq")]
    pub(super) fn separators(blocks: &[[u8; BLOCK]], delimiter: u8, to: &mut [Separators]) {
        let bytes = [b'"', delimiter, b'\n', b'\r'].map(|b| _mm256_set1_epi8(b as i8));
        let ones = _mm_set1_epi8(-1);
        for (to, block) in to.iter_mut().zip(blocks) {
            let (low, high) = (load(block, 0), load(block, 32));
            let quote = equal(low, high, bytes[0]);
            let parity = _mm_clmulepi64_si128::<0>(_mm_set_epi64x(0, quote as i64), ones);
            *to = Separators {
                quote,
                delimiter: equal(low, high, bytes[1]),
                lf: equal(low, high, bytes[2]),
                cr: equal(low, high, bytes[3]),
                parity: _mm_cvtsi128_si64(parity) as u64,
            };
        }
    }
}

mod separators_words {
    use super::{BLOCK, Separators};

    pub(super) fn separators(blocks: &[[u8; BLOCK]], delimiter: u8, to: &mut [Separators]) {
        for (to, block) in to.iter_mut().zip(blocks) {
            let quote = equal(block, b'"');
            *to = Separators {
                quote,
                delimiter: equal(block, delimiter),
                lf: equal(block, b'\n'),
                cr: equal(block, b'\r'),
                parity: parity(quote),
            };
        }
    }

    /// An exact mark in each byte that is equal, then the marks are gathered.
    #[inline(always)]
    fn equal(block: &[u8; BLOCK], byte: u8) -> u64 {
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        const ONES: u64 = 0x0101_0101_0101_0101;
        const GATHER: u64 = 0x0102_0408_1020_4080;
        let wanted = u64::from(byte) * ONES;
        let words = block.as_chunks::<8>().0;
        words.iter().enumerate().fold(0u64, |mask, (i, word)| {
            let differs = u64::from_le_bytes(*word) ^ wanted;
            let equal = !(((differs & LOW) + LOW) | differs | LOW) >> 7;
            mask | (equal.wrapping_mul(GATHER) >> 56) << (8 * i)
        })
    }

    #[inline(always)]
    fn parity(mut bits: u64) -> u64 {
        for shift in [1, 2, 4, 8, 16, 32] {
            bits ^= bits << shift;
        }
        bits
    }
}

#[cfg(test)]
mod separators_tests {
    use super::{BLOCK, Separators, separators, separators_words};

    fn plain(block: &[u8; BLOCK], delimiter: u8) -> Separators {
        let mut s = Separators::default();
        let mut odd = false;
        for (n, b) in block.iter().enumerate() {
            s.quote |= u64::from(*b == b'"') << n;
            s.delimiter |= u64::from(*b == delimiter) << n;
            s.lf |= u64::from(*b == b'\n') << n;
            s.cr |= u64::from(*b == b'\r') << n;
            odd ^= *b == b'"';
            s.parity |= u64::from(odd) << n;
        }
        s
    }

    #[test]
    fn both_forms_agree_with_the_bytes() {
        let mut seed = 7u64;
        for _ in 0..2000 {
            let blocks: [[u8; BLOCK]; 3] = std::array::from_fn(|_| {
                std::array::from_fn(|_| {
                    seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
                    b"\",\n\ra\xff\0;"[(seed >> 61) as usize]
                })
            });
            for delimiter in *b",;\t" {
                let wanted = blocks.map(|block| plain(&block, delimiter));
                let mut found = [Separators::default(); 3];
                separators(&blocks, delimiter, &mut found);
                assert_eq!(found, wanted);
                found = [Separators::default(); 3];
                separators_words::separators(&blocks, delimiter, &mut found);
                assert_eq!(found, wanted);
            }
        }
    }
}

/// All forms agree on what is in `data`.
///
/// # Panics
/// If they do not.
pub(super) fn agree(data: &[u8]) {
    struct Look<'a>(&'a [u8; BLOCK], &'a [u8; BLOCK]);
    impl Work for Look<'_> {
        type Output = ([u64; 2], [u32; 10], u32);

        #[inline(always)]
        fn work<L: Lanes>(self, lanes: L) -> Self::Output {
            let mut small = [0; 10];
            for (at, part) in self.0.as_chunks::<16>().0.iter().enumerate().take(2) {
                let looks = [
                    lanes.special_16::<false>(part),
                    lanes.special_16::<true>(part),
                    lanes.not_space(part),
                    lanes.not_digit(part),
                ];
                small[at * 4..at * 4 + 4].copy_from_slice(&looks);
            }
            let (a, b) = (self.0.as_chunks::<32>().0, self.1.as_chunks::<32>().0);
            (
                [
                    lanes.special::<false>(self.0),
                    lanes.special::<true>(self.0),
                ],
                small,
                lanes.differ(&a[0], &b[0]) ^ lanes.differ(&a[1], &b[1]).rotate_left(1),
            )
        }
    }
    let mut before = [b'a'; BLOCK];
    for part in data.chunks(BLOCK) {
        let mut block = before;
        block[..part.len()].copy_from_slice(part);
        let mut looks = Form::all()
            .into_iter()
            .map(|form| run(form, Look(&block, &before)));
        if let Some(plain) = looks.next() {
            assert!(looks.all(|look| look == plain), "the forms see differently");
        }
        for delimiter in [b',', b';', b'\t'] {
            let blocks = [block, before];
            let (mut found, mut plain) = ([Separators::default(); 2], [Separators::default(); 2]);
            separators(&blocks, delimiter, &mut found);
            separators_words::separators(&blocks, delimiter, &mut plain);
            assert!(found == plain, "the forms of CSV see differently");
        }
        before = block;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain<const KEY: bool>(b: u8) -> bool {
        (0x20..0x80).contains(&b) && b != b'"' && b != b'\\' && !(KEY && b == 0x7f)
    }

    fn mask(block: &[u8], good: impl Fn(u8) -> bool) -> u64 {
        block
            .iter()
            .enumerate()
            .fold(0, |mask, (n, b)| mask | u64::from(!good(*b)) << n)
    }

    struct Check<'a>(&'a [u8; BLOCK], u8, usize);

    impl Work for Check<'_> {
        type Output = ();

        #[inline(always)]
        fn work<L: Lanes>(self, lanes: L) {
            let Self(block, fill, place) = self;
            let small: &[u8; 16] = block[place / 16 * 16..].first_chunk().expect("16");
            let (string, key) = (mask(block, plain::<false>), mask(block, plain::<true>));
            assert_eq!(lanes.special::<false>(block), string);
            assert_eq!(lanes.special::<true>(block), key);
            let string = mask(small, plain::<false>) as u32;
            assert_eq!(lanes.special_16::<false>(small), string);
            let space = mask(small, |b| b" \n\r\t".contains(&b)) as u32;
            assert_eq!(lanes.not_space(small), space);
            let digit = mask(small, |b| b.is_ascii_digit()) as u32;
            assert_eq!(lanes.not_digit(small), digit);
            let half: &[u8; 32] = block[place / 32 * 32..].first_chunk().expect("32");
            let differ = u32::from(block[place] != fill) << (place % 32);
            assert_eq!(lanes.differ(half, &[fill; 32]), differ);
        }
    }

    /// Every byte in every place, among neighbours that carries and borrows could spill into, in every form.
    #[test]
    fn all_forms_agree_with_the_bytes() {
        let forms = Form::all();
        assert!(forms.len() >= if cfg!(target_arch = "x86_64") { 2 } else { 1 });
        for b in 0..=255u8 {
            for fill in [
                b'a', b'0', b' ', b'"', b'\\', b'!', 0, 0x1f, 0x7f, 0x80, 0xff,
            ] {
                for place in 0..64 {
                    let mut block = [fill; 64];
                    block[place] = b;
                    for form in &forms {
                        run(*form, Check(&block, fill, place));
                    }
                }
            }
        }
    }
}
