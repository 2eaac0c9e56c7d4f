//! The constants from the published points: least squares of logarithms, and what leaving points out tells of them.
//!
//! - Attention: pairs of points that differ in their context alone; the operations between them over the time between
//!   them. Every other part cancels, so pairs on two sockets count too. Of several pairs the harmonic mean, that of
//!   their times.
//! - `eta` and the time of a kernel: points with experts in the DRAM of one socket, and points with all in VRAM, where
//!   launches are most of the time. Gauss-Newton on ln(projected / measured), so that a factor too much weighs as much
//!   as a factor too little and neither constant can become negative.
//! - The spread: e^(t s), with s the root mean square of the same residuals when each point is left out of the fit in
//!   turn, and t Student's quantile for 95 % and as many degrees of freedom as points less two constants. Points with all
//!   in VRAM are too few for a quantile: the spread of launches is the largest factor that one of them was missed by.

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::constants::Constants;
use super::published::{Case, Point};

/// A fit and how good it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// What was fitted.
    pub constants: Constants,
    /// ln(projected / measured) seconds of every point that was used, the point left out of the fit.
    pub residuals: Vec<(String, f64)>,
}

/// Two-sided share of further points that the spread should hold.
const CONFIDENCE: f64 = 0.95;
/// Where iterations start; far from it they end at the same place.
const START: Constants = Constants {
    eta: 0.5,
    kernel_us: 5.0,
    attention_flops_per_byte: 10.0,
    spread: 1.5,
    launch_spread: 3.0,
};

/// Fits to those of `points` that tell something; points that can't be projected are left out.
pub fn fit(points: &[Point]) -> Fit {
    let constants = least_squares(points);
    let residuals: Vec<(String, f64, bool)> = points
        .iter()
        .filter(|point| informs(point))
        .filter_map(|point| {
            let others: Vec<Point> =
                points.iter().filter(|other| other.id != point.id).cloned().collect();
            Some((point.id.clone(), residual(point, &least_squares(&others))?, in_vram(point)))
        })
        .collect();
    let of = |vram: bool| -> Vec<f64> {
        residuals.iter().filter(|r| r.2 == vram).map(|r| r.1).collect()
    };
    let launch = of(true).into_iter().map(f64::abs).reduce(f64::max).map(f64::exp);
    let constants = Constants {
        spread: factor(&of(false), 2).unwrap_or(START.spread),
        launch_spread: launch.unwrap_or(START.launch_spread),
        ..constants
    };
    Fit { constants, residuals: residuals.into_iter().map(|(id, r, _)| (id, r)).collect() }
}

fn in_vram(point: &Point) -> bool {
    point.routed_experts_in == Some(super::placement::Where::Vram)
}

/// Whether `eta` and launches can be learned from it.
fn informs(point: &Point) -> bool {
    in_vram(point) || point.sockets == Some(1)
}

fn residual(point: &Point, constants: &Constants) -> Option<f64> {
    let projected = point.project(constants).ok()?.tokens_per_second.likely;
    let residual = (point.measured_tok_s / projected).ln();
    residual.is_finite().then_some(residual)
}

fn factor(residuals: &[f64], constants: usize) -> Option<f64> {
    let freedom = residuals.len().checked_sub(constants).filter(|n| *n > 0)? as f64;
    let mean_square = residuals.iter().map(|r| r * r).sum::<f64>() / residuals.len() as f64;
    let t = StudentsT::new(0.0, 1.0, freedom).ok()?.inverse_cdf(0.5 + CONFIDENCE / 2.0);
    Some((t * mean_square.sqrt()).exp())
}

fn least_squares(points: &[Point]) -> Constants {
    let attention = attention(points).unwrap_or(START.attention_flops_per_byte);
    let mut best = Constants { attention_flops_per_byte: attention, ..START };
    let used: Vec<&Point> = points.iter().filter(|point| informs(point)).collect();
    let residuals = |constants: &Constants| -> Vec<f64> {
        used.iter().filter_map(|point| residual(point, constants)).collect()
    };
    /// Relative step of the numerical derivative.
    const STEP: f64 = 1e-4;
    for _ in 0..30 {
        let here = residuals(&best);
        let moved = |eta: f64, kernel: f64| {
            let there =
                Constants { eta: best.eta * eta, kernel_us: best.kernel_us * kernel, ..best };
            let slopes = residuals(&there).into_iter().zip(&here).map(|(a, b)| (a - b) / STEP);
            slopes.collect::<Vec<f64>>()
        };
        let (a, b) = (moved(1.0 + STEP, 1.0), moved(1.0, 1.0 + STEP));
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
        // A trace of a prior where points tell nothing of one of the two.
        let (aa, bb, ab) = (dot(&a, &a) + 1e-9, dot(&b, &b) + 1e-9, dot(&a, &b));
        let (ar, br) = (dot(&a, &here), dot(&b, &here));
        let determinant = aa * bb - ab * ab;
        let limit = |step: f64| step.clamp(-0.5, 0.5);
        let step =
            (limit(-(bb * ar - ab * br) / determinant), limit(-(aa * br - ab * ar) / determinant));
        best.eta *= step.0.exp();
        best.kernel_us *= step.1.exp();
        if step.0.abs().max(step.1.abs()) < 1e-9 {
            break;
        }
    }
    best
}

/// Operations of attention a byte of VRAM bandwidth, from pairs that differ in context alone.
fn attention(points: &[Point]) -> Option<f64> {
    let alike = |a: &Point, b: &Point| {
        let context = b.context;
        let same = Point {
            id: b.id.clone(),
            context,
            measured_tok_s: b.measured_tok_s,
            note: b.note.clone(),
            ..a.clone()
        };
        same == *b && a.context < b.context
    };
    let pairs =
        points.iter().flat_map(|a| points.iter().filter(move |b| alike(a, b)).map(move |b| (a, b)));
    let costs: Vec<f64> = pairs
        .filter_map(|(a, b)| {
            let Case { model, setup, host, .. } = a.case().ok()?;
            let between = 1.0 / b.measured_tok_s - 1.0 / a.measured_tok_s;
            let flops = model.decode_attention_flops(b.context?)
                - model.decode_attention_flops(setup.context);
            let rate = super::host::attainable(
                host.gpu?.vram_read.as_ref()?,
                super::constants::VRAM_READ.0,
                super::constants::VRAM_READ.1,
            );
            Some(between * rate.value * 1e9 / flops).filter(|cost| *cost > 0.0)
        })
        .collect();
    (!costs.is_empty()).then(|| costs.len() as f64 / costs.iter().sum::<f64>())
}
