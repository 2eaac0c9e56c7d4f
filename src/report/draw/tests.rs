//! Pictures of ordinary figures, and of what a hostile or broken record may hold.

use super::*;
use crate::record::Unit;
use crate::record::figure::{Axis, Curve, Matrix, Series};

fn matrix(rows: usize, columns: usize, value: impl Fn(usize, usize) -> Option<f64>) -> Matrix {
    let names = |count: usize| (0..count).map(|i| format!("n{i}")).collect();
    Matrix {
        row_title: "cores of".into(),
        column_title: "memory of".into(),
        rows: names(rows),
        columns: names(columns),
        unit: Unit::GigaBytes,
        values: (0..rows)
            .map(|row| (0..columns).map(|column| value(row, column)).collect())
            .collect(),
    }
}

/// Every opened element is closed, and nothing is left over: what a browser needs.
fn well_formed(text: &str) {
    let mut open = Vec::new();
    for event in svg::read(text).expect("SVG") {
        use svg::node::element::tag::Type;
        use svg::parser::Event;
        match event {
            Event::Tag(name, Type::Start, _) => open.push(name.to_owned()),
            Event::Tag(name, Type::End, _) => assert_eq!(open.pop().as_deref(), Some(name)),
            Event::Error(error) => panic!("{error}: {text}"),
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?}");
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
}

#[test]
fn heat_maps_show_every_value() {
    let text = heat_map("read", &matrix(2, 3, |r, c| Some(10.0 * (r * 3 + c + 1) as f64)));
    well_formed(&text);
    for value in ["10.0", "20.0", "60.0"] {
        assert!(text.contains(value), "{value}: {text}");
    }
    // The extremes have the extreme colours.
    assert!(text.contains("rgb(222,235,247)") && text.contains("rgb(8,69,148)"));
}

#[test]
fn heat_maps_of_every_shape_can_be_drawn() {
    for (rows, columns) in [(0, 0), (1, 1), (1, 40), (200, 200), (3, 0)] {
        well_formed(&heat_map("x", &matrix(rows, columns, |_, _| Some(1.0))));
    }
    well_formed(&heat_map("none", &matrix(2, 2, |_, _| None)));
    let mut odd =
        matrix(2, 2, |r, c| [None, Some(f64::NAN), Some(f64::INFINITY), Some(-1.0)][r * 2 + c]);
    odd.values[1].pop();
    well_formed(&heat_map("odd", &odd));
}

fn sample(points: Vec<[f64; 2]>, x: Axis) -> Curve {
    Curve {
        x,
        y: Axis::linear("latency", "ns"),
        series: vec![Series { name: "thp".into(), points }],
        knee: None,
    }
}

#[test]
fn curves_go_where_their_points_are() {
    let mut line =
        sample(vec![[0.0, 100.0], [50.0, 150.0], [100.0, 400.0]], Axis::linear("load", "GB/s"));
    line.knee = Some([50.0, 150.0]);
    line.series.push(Series { name: "4k".into(), points: vec![[0.0, 120.0], [90.0, 300.0]] });
    let text = curve("loaded latency", &line);
    well_formed(&text);
    assert_eq!(text.matches("<polyline").count(), 2);
    assert!(
        text.contains("knee: 50 GB/s")
            && text.contains("load, GB/s")
            && text.contains("latency, ns")
    );
    // Of two points the one to the right is drawn to the right, the higher one higher up.
    let places: Vec<f64> = text
        .split("points=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("a path")
        .split([' ', ','])
        .map(|number| number.parse().expect("a number"))
        .collect();
    assert!(places[0] < places[2] && places[2] < places[4], "{places:?}");
    assert!(places[1] > places[3] && places[3] > places[5], "{places:?}");
}

#[test]
fn sizes_are_marked_in_powers_of_two() {
    let points = (12..=28).map(|power| [f64::from(1u32 << power), 1.5]).collect();
    let text = curve("sweep", &sample(points, Axis::logarithmic("size", "B")));
    well_formed(&text);
    assert!(text.contains("4 KiB") && text.contains("256 KiB") && text.contains("MiB"), "{text}");
}

#[test]
fn curves_that_can_not_be_drawn_are_no_panic() {
    let logarithmic = || Axis::logarithmic("size", "B");
    for points in [
        vec![],
        vec![[0.0, 1.0]],
        vec![[-1.0, f64::NAN], [f64::INFINITY, 2.0]],
        vec![[1.0, 1e308], [2.0, -1e308]],
        vec![[4096.0, 0.0]],
        vec![[1e-300, 1e-300], [1e300, 1e300]],
    ] {
        well_formed(&curve("odd", &sample(points.clone(), logarithmic())));
        well_formed(&curve("odd", &sample(points, Axis::linear("load", "GB/s"))));
    }
}

#[test]
fn no_name_of_a_record_becomes_markup() {
    let mut hostile = matrix(1, 1, |_, _| Some(1.0));
    hostile.rows[0] = "</text><script>alert(1)</script>".into();
    hostile.row_title = "\u{1b}[2J\" onload=\"x".into();
    let text = heat_map("<b>\"'", &hostile);
    well_formed(&text);
    assert!(
        !text.contains("<script") && !text.contains("<b>") && !text.contains('\u{1b}'),
        "{text}"
    );
    assert!(!text.contains("aria-label=\"<"), "{text}");
}

#[test]
fn every_shape_of_host_can_be_drawn() {
    use crate::host::{Root, Topology};
    const NUMA: &str = "[numa(memory=1GB)]";
    for description in [
        format!("Package:1 {NUMA} L3:12 Core:8 PU:2"),
        format!("{NUMA} Package:2 L3:12 Core:8 PU:2"),
        format!("Package:2 Group:4 {NUMA} L3:3 Core:8 PU:2"),
        format!("Package:2 L3:12 {NUMA} Core:8 PU:2"),
        format!("Package:2 {NUMA} {NUMA} L3:1 Core:8 PU:2"),
    ] {
        let host = Topology::synthetic(&description);
        let text = topology(&host);
        well_formed(&text);
        for node in &host.nodes {
            assert!(text.contains(&format!("Node {}:", node.index)), "{description}: {text}");
        }
        assert!(text.contains("Socket 0"), "{text}");
    }
    let nothing = topology(&Topology::from_sysfs(&Root::at("/nowhere")));
    well_formed(&nothing);
    assert!(nothing.contains("unknown"), "{nothing}");
    let here = Topology::discover();
    well_formed(&topology(&here));
}
