//! The published points: errors, bands, binding parts and bounds, every point left out of the fit that projects it.

use super::super::published::{built_in, check, mean_error};
use super::super::*;

#[test]
fn published_points_are_projected_without_themselves() {
    let checked = check(&built_in()).unwrap();
    for c in &checked {
        println!(
            "{:4} {} socket(s) {:6.2} measured {:6.2} projected ({:5.2} - {:5.2}) {:+5.1} % {:?} bound {:?}",
            c.point.id,
            c.point.sockets.unwrap_or(1),
            c.point.measured_tok_s,
            c.projected.likely,
            c.projected.low,
            c.projected.high,
            c.error * 100.0,
            c.binding,
            c.bound
        );
    }
    let mean = mean_error(&checked).unwrap();
    println!("mean absolute error, one socket: {:.1} %; {:?}", mean * 100.0, Constants::fitted());
    assert!(mean <= 0.15, "{mean}");
    for c in &checked {
        assert!(c.bound.unwrap() >= c.point.measured_tok_s, "{}", c.point.id);
        if c.point.sockets == Some(1) {
            assert!(c.inside, "{}", c.point.id);
            assert_eq!(c.binding, Some(Part::Dram), "{}", c.point.id);
        }
        if c.point.routed_experts_in == Some(Where::Vram) {
            // Three points can't tell the spread of launches when one of them is left out: with it they do.
            let whole = c.point.project(Constants::fitted()).unwrap();
            assert!(whole.tokens_per_second.contains(c.point.measured_tok_s), "{}", c.point.id);
            assert_eq!(c.binding, Some(Part::Launch), "{}", c.point.id);
        }
    }
}
