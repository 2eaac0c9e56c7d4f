//! Two sockets: what the placement of the experts leaves of the sum of their bandwidths.
//!
//! With L the local read of one socket, R its read from another, S sockets, k experts a token:
//!
//! - **mirrored**: every socket has all experts and reads its slice of each: S L. Twice the memory for two sockets.
//! - **local**: an expert lies on one socket, whose cores compute it; the layer waits for the socket with most of them:
//!   S L k / (S E[max]), E[max] the mean of the largest count when k experts fall on S sockets at random.
//! - **interleaved**: pages alternate; 1/S of a thread's reads are local and the rest remote, one after the other:
//!   S / (1/(S L) + (1 - 1/S)/R), unless it was measured.
//! - **GPU's socket only**: L.
//!
//! The plain sum is none of these but the first, and that only where nothing is waited for.

use serde::{Deserialize, Serialize};

use super::figure::Figure;
use super::host::Dram;

/// Where the experts' weights are and who reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// A copy on every socket.
    Mirrored,
    /// Every expert on one socket.
    Local,
    /// Pages by turns.
    Interleaved,
    /// The socket that the GPU is at.
    GpuSocket,
}

impl Policy {
    /// Every policy.
    pub const ALL: [Self; 4] = [Self::Mirrored, Self::Local, Self::Interleaved, Self::GpuSocket];

    /// As printed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mirrored => "mirrored",
            Self::Local => "local",
            Self::Interleaved => "interleaved",
            Self::GpuSocket => "GPU's socket only",
        }
    }

    /// Copies of the weights.
    pub const fn copies(self, sockets: usize) -> usize {
        match self {
            Self::Mirrored => sockets,
            _ => 1,
        }
    }

    /// GB/s at which `sockets` read the experts that one token uses, `active` of them; the error says what is missing.
    pub fn read(self, dram: &Dram, sockets: usize, active: usize) -> Result<Figure, String> {
        let Some(sum) = &dram.read else { return Err("dram.read_gb_s".into()) };
        if sockets == 1 {
            return Ok(sum.clone());
        }
        let (s, local) = (sockets as f64, sum.value / sockets as f64);
        let (value, origin, how) = match self {
            Self::Mirrored => (sum.value, sum.origin, "both sockets read their own copies"),
            Self::GpuSocket => (local, sum.origin, "one socket"),
            Self::Local => {
                let share = active as f64 / (s * most_on_one(active, sockets));
                (sum.value * share, sum.origin, "the socket with most experts is waited for")
            }
            Self::Interleaved => {
                if let Some(measured) = &dram.interleaved_read {
                    return Ok(measured.clone());
                }
                let remote = dram.remote_read.as_ref().ok_or("dram.remote_read_gb_s")?;
                let value = s / (1.0 / (s * local) + (1.0 - 1.0 / s) / remote.value);
                (value, sum.origin.max(remote.origin), "local and remote reads by turns")
            }
        };
        Ok(Figure::new(value, origin, format!("{}; {how}", sum.source)))
    }
}

/// Mean of the largest count when `balls` fall into `bins` at random: the sum over m of P(largest > m), with
/// P(largest <= m) from the exponential generating function (1 + x + ... + x^m/m!)^bins.
fn most_on_one(balls: usize, bins: usize) -> f64 {
    let at_most = |most: usize| -> f64 {
        // Coefficients of the power, times balls! / bins^balls in the end.
        let mut product = vec![1.0];
        for _ in 0..bins {
            let mut next = vec![0.0; balls + 1];
            for (i, have) in product.iter().enumerate() {
                let mut term = 1.0;
                for m in 0..=most.min(balls - i) {
                    if m > 0 {
                        term /= m as f64;
                    }
                    next[i + m] += have * term;
                }
            }
            product = next;
        }
        (1..=balls).fold(product[balls], |p, i| p * i as f64 / bins as f64)
    };
    (0..balls).map(|most| 1.0 - at_most(most)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bottleneck::figure::Origin;

    fn dram() -> Dram {
        let figure = |value| Some(Figure::new(value, Origin::Measured, "test"));
        Dram { read: figure(600.0), remote_read: figure(100.0), ..Dram::default() }
    }

    #[test]
    fn the_largest_share_of_random_experts() {
        assert!((most_on_one(1, 2) - 1.0).abs() < 1e-12);
        assert!((most_on_one(2, 2) - 1.5).abs() < 1e-12);
        // Eight on two: sum of max(k, 8-k) C(8,k) / 256.
        let exact = [8.0, 7.0, 6.0, 5.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let choose = [1.0, 8.0, 28.0, 56.0, 70.0, 56.0, 28.0, 8.0, 1.0];
        let mean: f64 = exact.iter().zip(choose).map(|(m, c)| m * c / 256.0).sum();
        assert!((most_on_one(8, 2) - mean).abs() < 1e-12);
        assert!((most_on_one(8, 1) - 8.0).abs() < 1e-12);
    }

    #[test]
    fn policies_share_the_sum_out_differently() {
        let read = |policy: Policy| policy.read(&dram(), 2, 8).unwrap().value;
        assert_eq!(read(Policy::Mirrored), 600.0);
        assert_eq!(read(Policy::GpuSocket), 300.0);
        assert!((read(Policy::Interleaved) - 2.0 / (1.0 / 600.0 + 0.5 / 100.0)).abs() < 1e-9);
        assert!((460.0..480.0).contains(&read(Policy::Local)));
        let blind = Dram { remote_read: None, ..dram() };
        assert_eq!(Policy::Interleaved.read(&blind, 2, 8), Err("dram.remote_read_gb_s".into()));
        for policy in Policy::ALL {
            assert_eq!(
                policy.read(&dram(), 1, 8).unwrap().value,
                600.0,
                "one socket has no policy"
            );
        }
    }
}
