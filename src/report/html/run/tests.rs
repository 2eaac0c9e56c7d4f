//! The page as a browser would take it apart: its structure, its text, and what it must never hold.

use scraper::{Html, Selector};
use serde_json::json;

use crate::bottleneck::sweep::Axis;
use crate::bottleneck::{Analysis, Question, Setup};
use crate::record::store::Run;
use crate::record::{MetricId, MetricRecord, Origin, State, Work};
use crate::report::fixture::{below, bench, host, in_state, ok, run, skipped};

const SECTIONS: [&str; 12] = [
    "glance",
    "bottleneck",
    "findings",
    "host",
    "rooflines",
    "memory",
    "links",
    "loads",
    "figures",
    "skipped",
    "environment",
    "guide",
];

/// The page of a run of which nothing is projected.
fn page(run: &Run) -> String {
    super::run(run, Err("its DRAM was not measured"))
}

/// What a host written by hand would do with DeepSeek-R1.
fn projection() -> Analysis {
    let host = r#"
        name = "made up <host>"
        [dram]
        read_gb_s = { value = 400, origin = "theoretical", source = "12 channels" }
        [gpu]
        name = "made up"
        vram_read_gb_s = { value = 1792, origin = "theoretical", source = "vendor" }
        vram_gb = { value = 96, origin = "theoretical", source = "vendor" }
        bf16_tflops = { value = 500, origin = "theoretical", source = "vendor" }
    "#;
    let host = crate::bottleneck::toml::host(host, "host.toml").unwrap();
    let model = crate::workload::find_model("deepseek-r1").unwrap();
    let mix = crate::workload::Mix::parse("q4_k_m", &model).unwrap();
    Analysis::new(&Question {
        name: "deepseek-r1",
        model: &model,
        mix: &mix,
        host: &host,
        setup: Setup::default(),
        target: None,
        sweeps: &Axis::ALL,
    })
    .unwrap()
}

/// A metric that moves bytes and computes nothing.
fn moves(name: &str, value: f64) -> MetricRecord {
    let work = Work { bytes_read: 1 << 28, ..Work::default() };
    MetricRecord { work, ..ok(name, value) }
}

/// A run with something for every section, in every state.
fn whole() -> Run {
    let peak = "compute/peak/bf16/all-cores";
    let gemm = |name: &str, value| {
        let metric = below(ok(name, value), 0.5, Origin::Measured, peak);
        let work = Work { flops: 1 << 34, bytes_read: 1 << 25, ..Work::default() };
        MetricRecord { work, ..metric }
    };
    let detailed = |mut metric: MetricRecord, name: &str, value| {
        metric.details.insert(name.into(), value);
        metric
    };
    let axis = |name, unit| json!({"name": name, "unit": unit, "division": "logarithmic"});
    let curve = json!({
        "x": axis("load", "GB/s"), "y": axis("latency", "ns"), "knee": [30.0, 140.0],
        "series": [{"name": "reads", "points": [[1.0, 90.0], [30.0, 140.0], [40.0, 400.0]]}]
    });
    let cell = |row: &str, column: &str, value| {
        let metric = moves(&format!("dram/matrix/read/{row}-{column}"), value);
        let place = json!({"matrix": "dram/matrix/read", "row_title": "cores of", "column_title": "memory of",
            "row": row, "column": column});
        detailed(metric, "cell", place)
    };
    let metrics = vec![
        ok(peak, 0.5),
        gemm("gemm/cpu/bf16/m2048n2048k2048", 0.4),
        in_state(gemm("gemm/cpu/fp8/m2048n2048k2048", 0.3), State::Noisy, "known to ±9 %"),
        in_state(gemm("gemm/cpu/int8/m2048n2048k2048", 7.777), State::Invalid, "differs at [0, 7]"),
        in_state(gemm("gemm/cpu/mxfp4/m2048n2048k2048", 0.2), State::Throttled, "2.1 GHz"),
        below(
            moves("dram/read/all-cores", 31.23),
            38.4,
            Origin::Theoretical,
            "1 x 8 B x 4800 MT/s",
        ),
        detailed(moves("dram/latency/random/thp", 98.4), "bytes", json!(1 << 28)),
        detailed(moves("dram/latency/loaded/all-cores", 400.0), "curve", curve),
        detailed(moves("storage/load/direct", 2.1), "stage_read_s", json!(0.4)),
        moves("pcie/h2d/pinned/gpu0/first-touch/256MiB", 54.0),
        cell("p0n0", "p0n0", 40.0),
        cell("p0n0", "p1n0", 20.0),
        skipped("vram/read/gpu0", "no NVIDIA GPU"),
    ];
    let mut run = run(vec![bench("all", metrics)]);
    run.host = Some(host(&[("dmi.bios_version", json!(null))]));
    run
}

fn select<'a>(page: &'a Html, selector: &str) -> Vec<scraper::ElementRef<'a>> {
    let selector = Selector::parse(selector).unwrap();
    page.select(&selector).collect()
}

fn text(page: &Html, selector: &str) -> String {
    let texts = select(page, selector).into_iter().map(|e| e.text().collect::<String>());
    texts.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_section_is_there_named_and_reached_from_the_top() {
    let html = Html::parse_document(&page(&whole()));
    let ids: Vec<_> = select(&html, "main > section").iter().filter_map(|s| s.attr("id")).collect();
    assert_eq!(ids, SECTIONS);
    for id in SECTIONS {
        assert_eq!(select(&html, &format!("nav a[href='#{id}']")).len(), 1, "{id}");
        assert!(!text(&html, &format!("#{id}-heading")).is_empty(), "{id}");
    }
    assert_eq!(select(&html, "h1").len(), 1);
    assert_eq!(select(&html, "meta[name=viewport]").len(), 1);
    assert_eq!(select(&html, "html").first().and_then(|e| e.attr("lang")), Some("en"));
    let mut seen = std::collections::BTreeSet::new();
    for element in select(&html, "[id]") {
        assert!(seen.insert(element.attr("id")), "{:?} twice", element.attr("id"));
    }
    for element in select(&html, "[aria-labelledby]") {
        for id in element.attr("aria-labelledby").unwrap().split(' ') {
            assert!(seen.contains(&Some(id)), "{id} names something and is nowhere");
        }
    }
}

#[test]
fn a_projection_has_its_rate_its_parts_and_its_sweeps() {
    let projected = projection();
    let page = super::run(&whole(), Ok(&projected));
    let html = Html::parse_document(&page);
    let section = text(&html, "#bottleneck");
    let rate =
        crate::report::terminal::bottleneck::short(projected.decode.tokens_per_second.likely);
    for fact in
        [&format!("{rate} tokens/s"), "deepseek-r1", "DRAM binds", "theoretical: 12 channels"]
    {
        assert!(section.contains(fact), "{fact} in {section}");
    }
    let lanes = select(&html, "#bottleneck .times .bar").len();
    assert_eq!(lanes, projected.decode.parts.len() + projected.prefill.parts.len());
    assert_eq!(select(&html, "#bottleneck svg.chart").len(), 3, "batch, context, tensor parallel");
    assert!(section.contains("q8_0") && section.contains("ud-q2_k_xl"), "formats");
    let missing = Html::parse_document(&self::page(&whole()));
    assert!(text(&missing, "#bottleneck").contains("No projection: its DRAM was not measured"));
}

#[test]
fn nothing_outside_the_file_is_needed_and_no_script_is_there() {
    let page = page(&whole());
    for outside in ["://", "<script", "<link", "<iframe", "@import", "url(", "src=", "javascript:"]
    {
        assert!(!page.contains(outside), "{outside}");
    }
    let html = Html::parse_document(&page);
    let targets = select(&html, "[href]");
    assert!(targets.iter().all(|a| a.attr("href").unwrap().starts_with('#')));
}

#[test]
fn every_chart_has_words_for_those_who_do_not_see_it() {
    let html = Html::parse_document(&page(&whole()));
    let charts = select(&html, "svg.chart");
    assert_eq!(charts.len(), 4, "roofline, size, curve, copies");
    assert!(charts.iter().all(|svg| svg.attr("role") == Some("img")));
    let words = text(&html, "svg.chart > desc");
    assert_eq!(words.lines().count(), 4);
    assert!(
        words.contains("reads 90 ns at 1 GB/s, then 400 ns at 40 GB/s; knee: 140 ns at 30 GB/s"),
        "{words}"
    );
    assert!(select(&html, ".bar").iter().all(|bar| {
        bar.attr("aria-label").is_some() || bar.attr("aria-hidden") == Some("true")
    }));
}

#[test]
fn a_matrix_is_a_heat_map_and_its_cells_are_no_rows() {
    let html = Html::parse_document(&page(&whole()));
    let cells = text(&html, "#memory figure svg title");
    assert!(cells.contains("cores of p0n0, memory of p1n0: 20"), "{cells}");
    assert!(!text(&html, "#figures").contains("p1n0"));
    let mut one_node = whole();
    one_node.benches[0].metrics = vec![skipped("dram/matrix/read", "one NUMA node")];
    let html = Html::parse_document(&page(&one_node));
    assert!(text(&html, "#memory").contains("Node by node and core to core: one NUMA node."));
}

#[test]
fn states_are_words_and_a_doubtful_mark_is_an_outline() {
    let html = Html::parse_document(&page(&whole()));
    let head = text(&html, "header .states li");
    for state in ["ok", "noisy", "throttled", "skipped", "invalid"] {
        assert!(head.contains(state), "{state} in {head}");
    }
    let marks = text(&html, "#rooflines path.mark title");
    assert!(
        marks.contains("gemm/cpu/bf16/m2048n2048k2048: 400 Gop/s, 80 % of its ceiling, ok"),
        "{marks}"
    );
    let hollow = text(&html, "#rooflines path.mark.hollow title");
    assert_eq!(hollow.lines().count(), 2, "noisy and throttled: {hollow}");
    assert!(!marks.contains("int8"), "what is invalid is no mark: {marks}");
    assert!(text(&html, "#rooflines").contains("invalid: differs at [0, 7]"));
    let row = text(&html, "#figures tr.invalid");
    assert!(row.contains("invalid: differs at [0, 7]") && !row.contains("7.77"), "{row}");
    let noisy = text(&html, "#figures tr.noisy");
    assert!(noisy.contains("known to ±9 %") && noisy.contains("300 GFLOP/s"), "{noisy}");
}

#[test]
fn a_row_has_median_interval_share_ceiling_and_path() {
    let html = Html::parse_document(&page(&whole()));
    let row = text(&html, "#figures tr.ok");
    for fact in
        ["400 GFLOP/s", "396 - 404", "80 %", "cpu/avx2", "gemm/cpu/", "bf16/m2048n2048k2048"]
    {
        assert!(text(&html, "#figures").contains(fact), "{fact} in {row}");
    }
    assert!(
        text(&html, "#figures .notes")
            .contains("theoretical ceiling: 38.4 GB/s, 1 x 8 B x 4800 MT/s")
    );
    let interval = select(&html, "#figures tr.ok .bar u");
    assert!(
        interval[0].attr("style").unwrap().starts_with("left:79.2"),
        "{:?}",
        interval[0].attr("style")
    );
}

#[test]
fn an_empty_run_explains_every_section() {
    let html = Html::parse_document(&page(&run(vec![])));
    for (id, fact) in [
        ("glance", "not measured in this run"),
        ("host", "no readable host.json"),
        ("rooflines", "measured no kernel"),
        ("memory", "Latency by size: not measured"),
        ("memory", "Latency under load, bandwidth by threads: not measured"),
        ("memory", "Node by node and core to core: not measured"),
        ("links", "Copies by size: not measured"),
        ("loads", "did not measure a model load"),
        ("figures", "not measured in this run"),
        ("skipped", "Nothing was skipped"),
        ("environment", "no readable host.json"),
    ] {
        let section = text(&html, &format!("#{id}"));
        assert!(section.contains(fact), "{fact} in {section}");
    }
    assert!(text(&html, "header").contains("no bench has saved anything"));
    assert!(select(&html, "svg.chart").is_empty());
}

#[test]
fn text_of_a_record_is_shown_as_it_is_and_commands_nothing() {
    let hostile = "</style></title><script>alert(1)</script><b x='\"&amp;\u{202e}\u{1b}[2J\u{0}";
    let mut metric = whole().benches[0].metrics[1].clone();
    metric.id = MetricId::new([&format!("gemm/cpu/{hostile}/m1")]);
    metric.kernel_path = format!("cpu/{hostile}");
    let ceiling = metric.ceiling.as_mut().unwrap();
    ceiling.source = format!("compute/peak/bf16/{hostile}");
    let mut run = run(vec![bench(
        hostile,
        vec![metric.clone(), in_state(metric, State::Noisy, hostile), skipped(hostile, hostile)],
    )]);
    run.name = hostile.into();
    run.path = hostile.into();
    run.problems = vec![hostile.into()];
    run.benches[0].label = Some(hostile.into());
    run.host = Some(host(&[("cpu.model_name", json!(hostile)), (hostile, json!(hostile))]));
    let page = page(&run);
    assert!(!page.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'));
    let html = Html::parse_document(&page);
    assert!(select(&html, "script").is_empty() && select(&html, "b[x]").is_empty());
    assert_eq!(select(&html, "style").len(), 1);
    let shown = "</style></title><script>alert(1)</script><b x='\"&amp;";
    for place in [
        "h1",
        "title",
        "header .facts",
        "header .alert",
        "#host",
        "#skipped h3",
        "#figures tr.noisy",
        "#environment",
        "footer",
        "#rooflines details",
    ] {
        assert!(text(&html, place).contains(shown), "{place}: {}", text(&html, place));
    }
}

#[test]
fn absurd_figures_are_drawn_nowhere_and_break_nothing() {
    for value in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300, f64::MIN_POSITIVE] {
        let mut run = whole();
        for metric in &mut run.benches[0].metrics {
            if let Some(summary) = &mut metric.summary {
                summary.median = value;
                summary.median_ci95 = Some(crate::record::Interval { low: value, high: f64::NAN });
            }
            if let Some(ceiling) = &mut metric.ceiling {
                ceiling.value = value;
            }
        }
        let page = page(&run);
        for poison in ["NaN%", "inf%", "=\"NaN", "=\"inf", ",NaN", "NaN,"] {
            assert!(!page.contains(poison), "{poison} with {value}");
        }
        assert_eq!(select(&Html::parse_document(&page), "main > section").len(), SECTIONS.len());
    }
}
