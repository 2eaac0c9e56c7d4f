//! How far a correct f32 kernel may be from the exact result.
//!
//! Let u be the unit roundoff. A sum of products that rounds to nearest at most n times on the way of each term, in
//! whatever order the terms are added, obeys
//!
//! - always: |error| <= gamma(n) S, gamma(n) = n u / (1 - n u), S = sum of |terms|
//!   (N. J. Higham, *Accuracy and Stability of Numerical Algorithms*, 2nd edition, SIAM 2002, section 3.1);
//! - with a probability of at least 1 - 2 n exp(-lambda^2 (1 - u)^2 / 2), when rounding errors are mean independent:
//!   |error| <= gamma'(n) S, gamma'(n) = exp(lambda sqrt(n) u + n u^2 / (1 - u)) - 1
//!   (N. J. Higham, T. Mary, *A New Approach to Probabilistic Rounding Error Analysis*, SIAM J. Sci. Comput. 41(5),
//!   2019, theorem 2.4).
//!
//! The first grows with n and at n = 7168 would hide a lost term; so the smaller of the two is used, with lambda = 9:
//! for n = 2^16 one correct output in 10^12 would be refused. Both need rounding to nearest. A unit that truncates
//! its accumulator, as tensor cores do, has only the first, with its own u.

/// Unit roundoff of f32: half of the distance from 1 to the next number.
pub(super) const F32: f64 = f32::EPSILON as f64 / 2.0;

/// Unit roundoff of bfloat16: 8 significant bits.
pub(super) const BF16: f64 = 1.0 / 256.0;

/// Unit roundoff of E4M3, its smallest number and its largest: 4 significant bits, 2^-9, 448 (OCP 8-bit Floating Point
/// Specification 1.0, table 1).
pub(super) const E4M3: f64 = 1.0 / 16.0;
pub(super) const E4M3_STEP: f64 = 1.0 / 512.0;
pub(super) const E4M3_MAX: f64 = 448.0;

/// Smallest normal f32: what an operation that flushes subnormals may lose. AVX512-BF16's dot product always does.
pub(super) const FLUSHED: f64 = f32::MIN_POSITIVE as f64;

/// Standard deviations of the probabilistic bound.
pub(super) const LAMBDA: f64 = 9.0;

/// Bound of |error| / S after `n` roundings in f32 on the way of each term.
pub(super) fn accumulation(n: usize) -> f64 {
    let n = n as f64;
    let worst = if n * F32 < 1.0 { n * F32 / (1.0 - n * F32) } else { f64::INFINITY };
    worst.min((deviation(n) + n * F32 * F32 / (1.0 - F32)).exp_m1())
}

/// [`LAMBDA`] standard deviations of the relative error after `n` roundings in f32: what is left of the probabilistic
/// bound where errors of several sums are added in quadrature.
pub(super) fn deviation(n: f64) -> f64 {
    LAMBDA * n.sqrt() * F32
}
