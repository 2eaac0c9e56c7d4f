use std::fs;

use xxhash_rust::xxh3::xxh3_64;

use super::deepseek::DeepSeek;
use super::*;

/// A model of the same make, small enough for a test.
const TINY: Model = Model::DeepSeek(DeepSeek {
    dim: 256,
    vocabulary: 512,
    dense_layers: 1,
    dense_inter: 384,
    moe_layers: 2,
    moe_inter: 128,
    experts: 12,
    heads: 2,
    q_rank: 128,
    kv_rank: 64,
    nope: 32,
    rope: 16,
    value: 32,
    mtp: true,
});

#[test]
fn a_set_is_made_once_then_reused() {
    let cache = tempfile::tempdir().unwrap();
    let made = obtain(cache.path(), &TINY, u64::MAX).unwrap();
    assert!(made.set.shards.len() > 1);
    assert_eq!(made.set.tensors(), TINY.tensors().len());
    let mut contents = Vec::new();
    for (shard, &hash) in made.set.shards.iter().zip(&made.hashes) {
        let bytes = fs::read(&shard.path).unwrap();
        assert_eq!(xxh3_64(&bytes), hash);
        safetensors::SafeTensors::deserialize(&bytes).expect("the reference parser reads it");
        let ones: u64 = bytes.iter().map(|b| u64::from(b.count_ones())).sum();
        contents.push(ones as f64 / (8 * bytes.len()) as f64);
    }
    assert!(contents.iter().all(|share| (share - 0.5).abs() < 0.02), "random: {contents:?}");

    let first = &made.set.shards[0].path;
    let written = first.metadata().unwrap().modified().unwrap();
    let again = obtain(cache.path(), &TINY, u64::MAX).unwrap();
    assert_eq!(again.set, made.set);
    assert_eq!(first.metadata().unwrap().modified().unwrap(), written, "not written again");
}

#[test]
fn a_damaged_set_is_made_anew() {
    let cache = tempfile::tempdir().unwrap();
    let made = obtain(cache.path(), &TINY, u64::MAX).unwrap();
    let victim = &made.set.shards[1].path;
    let length = victim.metadata().unwrap().len();
    File::options().write(true).open(victim).unwrap().set_len(length - 1).unwrap();
    obtain(cache.path(), &TINY, u64::MAX).unwrap();
    assert_eq!(victim.metadata().unwrap().len(), length);
}

#[test]
fn leftovers_of_dead_processes_are_removed_and_those_of_the_living_are_not() {
    let cache = tempfile::tempdir().unwrap();
    let dead = cache.path().join(".making-4194305-x"); // above the largest process id
    let living = cache.path().join(format!(".making-{}-x", std::process::id()));
    fs::create_dir(&dead).unwrap();
    fs::create_dir(&living).unwrap();
    obtain(cache.path(), &TINY, u64::MAX).unwrap();
    assert!(!dead.exists() && living.exists());
}

#[test]
fn cleaning_removes_sets_and_nothing_else() {
    let cache = tempfile::tempdir().unwrap();
    let made = obtain(cache.path(), &TINY, u64::MAX).unwrap();
    fs::create_dir(cache.path().join("mine")).unwrap();
    assert!(clean(cache.path()).unwrap() > made.set.bytes());
    let left: Vec<_> = cache.path().read_dir().unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["mine"]);
    assert_eq!(clean(&cache.path().join("none")).unwrap(), 0);
}

#[test]
fn a_budget_too_small_is_a_cause_to_skip_that_says_what_to_do() {
    let cache = tempfile::tempdir().unwrap();
    for model in Model::ALL {
        let error = obtain(cache.path(), &model, 1 << 20).unwrap_err();
        assert!(matches!(error, Error::Unavailable(_)), "{error}");
        let error = error.to_string();
        assert!(error.contains(model.name()), "{error}");
        assert!(error.contains("HOSTDYNO_MODEL_DIR"), "{error}");
    }
    assert_eq!(Model::parse("llama-3.1-70b, deepseek-r1").unwrap().len(), 2);
    for names in ["gpt", "deepseek-r1,", ""] {
        assert!(Model::parse(names).unwrap_err().to_string().contains("qwen3-30b-a3b"));
    }
}

#[test]
fn a_full_disk_is_an_error_and_leaves_nothing_behind() {
    let cache = tempfile::tempdir().unwrap();
    // A limit on the file size stands for the full disk: the write fails part of the way with EFBIG, since the
    // signal that would kill the process is ignored.
    let run = || {
        let limit = libc::rlimit { rlim_cur: 100_000, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: only this forked child changes its limit and its signal; it ends with `_exit`.
        unsafe {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
            libc::setrlimit(libc::RLIMIT_FSIZE, &limit);
            libc::alarm(60);
        }
        obtain(cache.path(), &TINY, u64::MAX).is_err_and(|e| e.to_string().contains("can't write"))
    };
    // SAFETY: the child runs one function and leaves by `_exit`.
    match unsafe { libc::fork() } {
        0 => {
            let failed_well = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(if matches!(failed_well, Ok(true)) { 0 } else { 1 }) }
        }
        child => {
            let mut status = 0;
            // SAFETY: `child` is this process's own.
            unsafe { libc::waitpid(child, &mut status, 0) };
            assert_eq!(status, 0, "the child saw another outcome");
        }
    }
    assert_eq!(cache.path().read_dir().unwrap().count(), 0);
}

#[test]
fn a_directory_that_takes_no_files_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for cache in [file, "/sys/models".into()] {
        let error = obtain(&cache, &TINY, u64::MAX).unwrap_err();
        assert!(matches!(error, Error::Os { .. }), "{error}");
        assert!(error.to_string().contains(cache.to_str().unwrap()), "{error}");
    }
}
