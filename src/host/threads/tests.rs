//! Programs on pinned workers: placement, barriers, panics, time.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

#[test]
fn every_worker_runs_on_its_cpu() {
    let workers = Workers::new().unwrap();
    let ran = AtomicUsize::new(0);
    workers.run(|worker| {
        assert_eq!(worker.count(), workers.count());
        assert_eq!(cpus::current_cpu(), Some(workers.cpus()[worker.index()]));
        ran.fetch_add(1 << (8 * worker.index().min(7)), Ordering::Relaxed);
    });
    let each: usize = (0..workers.count().min(8)).map(|i| 1 << (8 * i)).sum();
    if workers.count() <= 8 {
        assert_eq!(ran.load(Ordering::Relaxed), each);
    }
    let mut cpus = workers.cpus().to_vec();
    cpus.sort_unstable();
    assert_eq!(workers.cpus_seen(), cpus);
}

#[test]
fn barriers_order_iterations() {
    let workers = Workers::new().unwrap();
    let total = AtomicUsize::new(0);
    workers.run(|worker| {
        for iteration in 0..1_000 {
            total.fetch_add(1, Ordering::Relaxed);
            worker.barrier();
            assert_eq!(total.load(Ordering::Relaxed), (iteration + 1) * worker.count());
            worker.barrier();
        }
    });
}

#[test]
fn time_spans_first_start_to_last_finish() {
    let workers = Workers::new().unwrap();
    let nap = Duration::from_millis(20);
    let time = workers.timed(|worker| {
        if worker.index() == 0 {
            std::thread::sleep(nap);
        }
    });
    assert!(time >= nap, "{time:?}");
}

#[test]
fn a_panic_frees_the_others_and_the_pool_lives_on() {
    let workers = Workers::new().unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        workers.run(|worker| {
            assert_ne!(worker.index(), 0, "on purpose");
            worker.barrier();
        });
    }));
    assert!(outcome.is_err());
    workers.run(|worker| worker.barrier());
}

#[test]
fn nested_programs_are_refused() {
    let workers = Workers::new().unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| workers.run(|_| workers.run(|_| ()))));
    assert!(outcome.is_err());
}

#[test]
fn unpinnable_cpus_are_said() {
    let error = Workers::on(&[8_000]).err().unwrap();
    assert!(error.to_string().contains("pinning denied: CPU 8000"), "{error}");
}

#[test]
fn parts_cover_everything_once() {
    let barrier = SpinBarrier::new(1);
    for (length, granule, count) in [(100, 8, 3), (7, 8, 4), (0, 4, 2), (64, 1, 5), (17, 16, 2)] {
        let mut next = 0;
        let mut sizes = Vec::new();
        for index in 0..count {
            let part = Worker { index, count, barrier: &barrier }.part(length, granule);
            assert_eq!(part.start, next);
            assert!(part.end == length || part.end.is_multiple_of(granule));
            next = part.end;
            sizes.push(part.len().div_ceil(granule));
        }
        assert_eq!(next, length);
        assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
    }
}
