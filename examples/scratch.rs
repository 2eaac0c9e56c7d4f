use hostdyno::host::Workers;
use std::time::Instant;
fn main() {
    let w = Workers::new().unwrap();
    for _ in 0..3 {
        let mut t: Vec<f64> = (0..2000)
            .map(|_| {
                let t = Instant::now();
                w.run(|_| ());
                t.elapsed().as_secs_f64() * 1e6
            })
            .collect();
        t.sort_by(f64::total_cmp);
        println!(
            "run: median {:.1} us p10 {:.1} p90 {:.1} p99 {:.1}",
            t[1000], t[200], t[1800], t[1980]
        );
        let mut t: Vec<f64> = (0..2000).map(|_| w.timed(|_| ()).as_secs_f64() * 1e6).collect();
        t.sort_by(f64::total_cmp);
        println!("timed empty: median {:.2} us p90 {:.1} p99 {:.1}", t[1000], t[1800], t[1980]);
        let mut t: Vec<f64> = (0..200)
            .map(|_| {
                w.timed(|w| {
                    for _ in 0..1000 {
                        w.barrier();
                    }
                })
                .as_secs_f64()
                    * 1e6
                    / 1000.
            })
            .collect();
        t.sort_by(f64::total_cmp);
        println!("barrier: median {:.2} us p90 {:.1} p99 {:.1}", t[100], t[180], t[198]);
    }
}
