//! Products by others, beside ours in the same run: `cargo bench --features peers --bench gemm`.
//!
//! They multiply in f32. Their operands are bf16 values, widened, so that the oracle is that of our bf16 products, and
//! the same operations are counted. They use as many threads as we do.

mod openblas;

use std::sync::Arc;
use std::time::Instant;

use crate::host::{self, Workers};
use crate::measure::{Elapsed, Rotation, Subject};
use crate::number::{Format, Matrix};
use crate::record::{Cache, Ceiling, MetricId, Part, Placement, Unit, Work};
use crate::workload::{Gemm, Verified, verify_gemm};
use crate::{Error, Result};
use openblas::OpenBlas;

/// Whose product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// OpenBLAS, as the loader finds it.
    OpenBlas,
    /// The crate `gemm`.
    Gemm,
    /// The crate `matrixmultiply`.
    MatrixMultiply,
}

impl Peer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::OpenBlas, Self::Gemm, Self::MatrixMultiply];

    /// Name in metric ids.
    pub const fn name(self) -> &'static str {
        match self {
            Self::OpenBlas => "openblas",
            Self::Gemm => "gemm-crate",
            Self::MatrixMultiply => "matrixmultiply",
        }
    }
}

/// A product by a peer: cold operands.
pub struct PeerSubject {
    peer: Peer,
    problem: Gemm,
    workers: Arc<Workers>,
    ceiling: Option<Ceiling>,
    openblas: Option<OpenBlas>,
    a: Matrix,
    b: Matrix,
    /// A and B in f32.
    copies: Vec<(Vec<f32>, Vec<f32>)>,
    rotation: Rotation,
    c: Vec<f32>,
}

impl PeerSubject {
    /// Name of the metric of `problem`.
    pub fn metric_id(peer: Peer, problem: Gemm) -> MetricId {
        MetricId::new(["gemm", peer.name(), "f32", &problem.to_string()])
    }

    /// Random operands from `seed`, in as many copies as it takes to be cold. `ceiling` is that of f32 arithmetic.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the peer is not installed.
    pub fn new(
        peer: Peer,
        problem: Gemm,
        workers: Arc<Workers>,
        ceiling: Option<Ceiling>,
        seed: u64,
    ) -> Result<Self> {
        let openblas = match peer {
            Peer::OpenBlas => Some(OpenBlas::load(workers.count())?),
            Peer::Gemm => None,
            Peer::MatrixMultiply if workers.count() > MATRIXMULTIPLY_THREADS => {
                return Err(Error::Unavailable(format!(
                    "matrixmultiply uses at most {MATRIXMULTIPLY_THREADS} threads, not {}",
                    workers.count()
                )));
            }
            Peer::MatrixMultiply => {
                // SAFETY: read when the crate is used first, by this thread; no other thread reads the environment now.
                unsafe { std::env::set_var("MATMUL_NUM_THREADS", workers.count().to_string()) };
                None
            }
        };
        let a = Matrix::random(Format::Bf16, problem.m, problem.k, seed)?;
        let b = Matrix::random(Format::Bf16, problem.n, problem.k, !seed)?;
        let bytes = size_of::<f32>() as u64 * ((problem.m + problem.n) * problem.k) as u64;
        let cache = host::Caches::of(workers.cpus()).last_level_total as u64;
        let copies = Rotation::copies(bytes, cache);
        let (wide_a, wide_b) = (widen(&a), widen(&b));
        Ok(Self {
            rotation: Rotation::new(copies),
            copies: vec![(wide_a, wide_b); copies],
            c: vec![0.0; problem.m * problem.n],
            peer,
            problem,
            workers,
            ceiling,
            openblas,
            a,
            b,
        })
    }

    fn multiply(&mut self, copy: usize) {
        let Gemm { m, n, k } = self.problem;
        let (a, b) = &self.copies[copy];
        let (a, b, c) = (a.as_slice(), b.as_slice(), self.c.as_mut_slice());
        match self.peer {
            Peer::OpenBlas => {
                if let Some(openblas) = &self.openblas {
                    openblas.multiply((m, n, k), a, b, c);
                }
            }
            Peer::Gemm => self.workers.install(|| {
                let (cs, ks) = (n as isize, k as isize);
                // SAFETY: A is m x k, B n x k and read as its transpose, C m x n, all row-major.
                unsafe {
                    gemm::gemm(
                        m,
                        n,
                        k,
                        c.as_mut_ptr(),
                        1,
                        cs,
                        false,
                        a.as_ptr(),
                        1,
                        ks,
                        b.as_ptr(),
                        ks,
                        1,
                        0.0f32,
                        1.0f32,
                        false,
                        false,
                        false,
                        gemm::Parallelism::Rayon(0),
                    );
                }
            }),
            Peer::MatrixMultiply => {
                let (cs, ks) = (n as isize, k as isize);
                let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
                // SAFETY: as above.
                unsafe { matrixmultiply::sgemm(m, k, n, 1.0, a, ks, 1, b, 1, ks, 0.0, c, cs, 1) };
            }
        }
    }
}

/// Most threads of the crate `matrixmultiply`: its documentation.
const MATRIXMULTIPLY_THREADS: usize = 4;

fn widen(matrix: &Matrix) -> Vec<f32> {
    let (codes, _) = matrix.codes.as_chunks::<2>();
    codes.iter().map(|&code| half::bf16::from_le_bytes(code).to_f32()).collect()
}

impl Subject for PeerSubject {
    fn metric(&self) -> MetricId {
        Self::metric_id(self.peer, self.problem)
    }

    fn part(&self) -> Part {
        Part::Compute
    }

    fn unit(&self) -> Unit {
        Unit::TeraFlops
    }

    fn work(&self) -> Work {
        let Gemm { m, n, k } = self.problem;
        let bytes_read = size_of::<f32>() as u64 * ((m + n) * k) as u64;
        let (flops, bytes_written) = (self.problem.flops(), self.problem.bytes_written());
        Work { flops, bytes_read, bytes_written, ..Work::default() }
    }

    fn ceiling(&self) -> Option<Ceiling> {
        self.ceiling.clone()
    }

    fn kernel_path(&self) -> String {
        match &self.openblas {
            Some(openblas) => format!("peer/{}", openblas.version()),
            None => format!("peer/{}", self.peer.name()),
        }
    }

    fn cache(&self) -> Cache {
        self.rotation.cache()
    }

    fn verify(&mut self) -> Result<Verified> {
        self.c.fill(f32::NAN);
        let copy = self.rotation.advance();
        self.multiply(copy);
        verify_gemm(&self.a, &self.b, &self.c)
    }

    fn run(&mut self, iterations: u64) -> Result<Elapsed> {
        let turns: Vec<usize> = (0..iterations).map(|_| self.rotation.advance()).collect();
        let start = Instant::now();
        for copy in turns {
            self.multiply(copy);
        }
        Ok(Elapsed(start.elapsed()))
    }

    /// The peers place their threads themselves.
    fn placement(&self) -> Placement {
        Placement::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_that_is_here_is_right() {
        let workers = Arc::new(Workers::new().unwrap());
        for peer in Peer::ALL {
            let problem = Gemm::new(37, 65, 129);
            match PeerSubject::new(peer, problem, workers.clone(), None, rand::random()) {
                Ok(mut subject) => assert_eq!(subject.verify().unwrap().checked, 37 * 65),
                Err(Error::Unavailable(cause)) => println!("{}: {cause}", peer.name()),
                Err(other) => panic!("{other}"),
            }
        }
    }
}
