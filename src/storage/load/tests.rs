use std::fs;
use std::path::Path;

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::Error;
use crate::measure::Subject;
use crate::record::{Cache, Origin};

/// A name: any will do.
fn id() -> MetricId {
    MetricId::new(["storage", "test"])
}

/// A directory of two shards of random bytes.
fn model(dir: &Path) {
    named_model(dir, "t");
}

/// [`model`] whose two tensors have names that begin with `prefix`.
fn named_model(dir: &Path, prefix: &str) {
    for (i, bytes) in [3_000_017_usize, 5_000_000].into_iter().enumerate() {
        let json = format!(
            r#"{{"{prefix}{i}":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}"#
        );
        let mut content = (json.len() as u64).to_le_bytes().to_vec();
        content.extend(json.as_bytes());
        let mut state = 1_u64 + i as u64;
        content.extend((0..bytes).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        }));
        fs::write(dir.join(format!("{i}.safetensors")), content).unwrap();
    }
}

fn options(dir: &Path) -> Options {
    Options {
        model_dir: Some(dir.into()),
        layouts: crate::storage::synthetic::Model::ALL.to_vec(),
        polling: crate::storage::read::ring::Polling::None,
        cache: dir.join("cache"),
        budget: 1 << 30,
        load_time: Duration::from_secs(60),
    }
}

#[test]
fn every_method_loads_the_content_and_says_what_it_did() {
    let dir = tempfile::tempdir_in(".").unwrap();
    model(dir.path());
    let prepared = Prepared::new(&options(dir.path())).unwrap();
    for method in Method::ALL {
        let Ok(mut load) = Load::new(id(), method, Rc::clone(&prepared)) else { continue };
        assert_eq!(load.work().bytes_read, prepared.set.bytes());
        assert_eq!(load.verify().unwrap().checked, prepared.set.bytes());
        assert!(load.run(2).unwrap().0 > Duration::ZERO);
        assert_eq!(load.history.loads.len(), 3);
        load.verify().unwrap();
        let details = load.details();
        assert_eq!(details["tensors"], json!(2));
        assert!(details["stage_read_s"].as_f64().unwrap() > 0.0);
        assert!(!load.kernel_path().is_empty());
        // Either proved cold, or labelled with the reason.
        assert_eq!(load.cache() == Cache::Cold, !details.contains_key("not_proved_cold"));
    }
    if prepared.direct.is_ok() {
        let ceiling = Load::new(id(), Method::Mapped, prepared).unwrap().ceiling().unwrap();
        assert!(ceiling.value > 0.0 && ceiling.origin == Origin::Measured);
    }
}

#[test]
fn patterns_read_their_units_one_by_one_and_compare() {
    let dir = tempfile::tempdir_in(".").unwrap();
    named_model(dir.path(), "model.layers.0.mlp.experts.");
    let prepared = Prepared::new(&options(dir.path())).unwrap();
    let of = |pattern| PatternReads::new(id(), pattern, Rc::clone(&prepared));
    for (pattern, units) in [
        (Pattern::SingleExperts, 2),
        (Pattern::LayerExperts, 1),
        (Pattern::TensorByTensor, 1),
        (Pattern::Rank(8), 1),
    ] {
        let mut reads = match of(pattern) {
            Ok(reads) => reads,
            Err(Error::Unavailable(_)) => return, // no direct reads here
            Err(other) => panic!("{other}"),
        };
        // Vectors are not divided over ranks.
        assert_eq!(reads.work().bytes_read, 8_000_017);
        assert!(reads.verify().unwrap().checked >= 8_000_017);
        reads.run(3).unwrap();
        let details = reads.details();
        let reads = (&details["units"], &details["unit_reads"]);
        assert_eq!(reads, (&json!(units), &json!(3 * units)), "{pattern:?}");
        let latency = |p: &str| details["unit_latency_ms"][p].as_f64().unwrap();
        assert!(0.0 < latency("p50") && latency("p50") <= latency("max"));
    }
    let dense = tempfile::tempdir_in(".").unwrap();
    model(dense.path());
    let prepared = Prepared::new(&options(dense.path())).unwrap();
    for pattern in [Pattern::SingleExperts, Pattern::LayerExperts] {
        let reads = PatternReads::new(id(), pattern, Rc::clone(&prepared));
        assert!(matches!(reads, Err(Error::Unavailable(_))));
    }
}

#[test]
fn the_device_itself_is_read_piece_by_piece() {
    let dir = tempfile::tempdir_in(".").unwrap();
    model(dir.path());
    let prepared = Prepared::new(&options(dir.path())).unwrap();
    for figure in Figure::ALL {
        let mut reads = match RawReads::new(id(), figure, Rc::clone(&prepared)) {
            Ok(reads) => reads,
            Err(Error::Unavailable(_)) => return, // no direct reads here
            Err(other) => panic!("{other}"),
        };
        reads.verify().unwrap();
        assert!(reads.run(6).unwrap().0 > Duration::ZERO);
        let details = reads.details();
        assert!(details["block_latency_ms"]["p99"].as_f64().unwrap() > 0.0);
        assert!(details["cpu_s_per_gb"].as_f64().unwrap() >= 0.0);
        assert_eq!(details["timeline_s_gb_per_s_celsius"].as_array().unwrap().len(), 6);
        assert!(details.contains_key("drop_share"));
    }
}

#[test]
fn a_pipelined_load_arrives_and_tells_its_sides_apart() {
    let dir = tempfile::tempdir_in(".").unwrap();
    model(dir.path());
    let prepared = Prepared::new(&options(dir.path())).unwrap();
    let mut load = match Pipelined::to_memory(id(), Rc::clone(&prepared)) {
        Ok(load) => load,
        Err(Error::Unavailable(_)) => return, // no direct reads here
        Err(other) => panic!("{other}"),
    };
    load.verify().unwrap();
    load.run(2).unwrap();
    load.verify().unwrap();
    let details = load.details();
    for part in ["stage_register_s", "read_only_s", "copy_only_s", "copy_busy_s"] {
        assert!(details[part].as_f64().is_some_and(|s| s > 0.0), "{part}");
    }
    assert!(details["overlap_efficiency"].as_f64().unwrap() > 0.0);
    assert!(load.kernel_path().ends_with("slots+memcpy"), "{}", load.kernel_path());

    // What changes on disk does not arrive as what was there before.
    prepared.hashes().unwrap();
    let victim = dir.path().join("0.safetensors");
    let mut content = fs::read(&victim).unwrap();
    *content.last_mut().unwrap() ^= 1;
    fs::write(&victim, content).unwrap();
    assert!(matches!(load.verify(), Err(Error::Wrong(what)) if what.contains("0.safetensors")));
}

#[test]
fn changed_content_is_a_wrong_result() {
    let dir = tempfile::tempdir_in(".").unwrap();
    model(dir.path());
    let prepared = Prepared::new(&options(dir.path())).unwrap();
    prepared.hashes().unwrap();
    let victim = dir.path().join("1.safetensors");
    let mut content = fs::read(&victim).unwrap();
    let last = content.len() - 1;
    content[last] ^= 1;
    fs::write(&victim, content).unwrap();
    for method in Method::ALL {
        let Ok(mut load) = Load::new(id(), method, Rc::clone(&prepared)) else { continue };
        let error = load.verify().unwrap_err();
        assert!(matches!(&error, Error::Wrong(what) if what.contains("1.safetensors")), "{error}");
    }
}

#[test]
fn a_shard_that_shrinks_or_vanishes_between_loads_is_an_error() {
    let dir = tempfile::tempdir_in(".").unwrap();
    model(dir.path());
    let prepared = Prepared::new(&options(dir.path())).unwrap();
    let victim = dir.path().join("1.safetensors");
    let file = fs::File::options().write(true).open(&victim).unwrap();
    file.set_len(4_000_000).unwrap();
    for method in Method::ALL {
        let Ok(mut load) = Load::new(id(), method, Rc::clone(&prepared)) else { continue };
        let error = load.run(1).unwrap_err().to_string();
        let named = error.contains("truncated") || error.contains("but had");
        assert!(error.contains("1.safetensors") && named, "{error}");
        assert!(load.loaded.is_none(), "no partial result");
    }
    fs::remove_file(&victim).unwrap();
    let mut load = Load::new(id(), Method::Buffered, prepared).unwrap();
    assert!(load.run(1).unwrap_err().to_string().contains("Check the path"));
}

#[test]
fn a_bad_model_directory_is_an_error() {
    let dir = tempfile::tempdir_in(".").unwrap();
    let error = Prepared::new(&options(dir.path())).err().expect("no shards").to_string();
    assert!(error.contains("holds no *.safetensors"), "{error}");
}
