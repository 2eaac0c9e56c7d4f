use std::fs;
use std::path::Path;

use super::*;
use crate::record::Origin;

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
        layout: crate::storage::synthetic::Model::parse(None).unwrap(),
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
        let Ok(mut load) = Load::new(method, Rc::clone(&prepared)) else { continue };
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
        let ceiling = Load::new(Method::Mapped, prepared).unwrap().ceiling().unwrap();
        assert!(ceiling.value > 0.0 && ceiling.origin == Origin::Measured);
    }
}

#[test]
fn experts_are_read_one_by_one_and_compared() {
    let dir = tempfile::tempdir_in(".").unwrap();
    named_model(dir.path(), "model.layers.0.mlp.experts.");
    let prepared = Prepared::new(&options(dir.path())).unwrap();
    let mut reads = match ExpertReads::new(Rc::clone(&prepared)) {
        Ok(reads) => reads,
        Err(Error::Unavailable(_)) => return, // no direct reads here
        Err(other) => panic!("{other}"),
    };
    assert_eq!(reads.work().bytes_read, 8_000_017);
    assert_eq!(reads.verify().unwrap().checked, 8_000_017);
    reads.run(3).unwrap();
    let details = reads.details();
    assert_eq!((&details["experts"], &details["expert_reads"]), (&json!(2), &json!(6)));
    let latency = |p: &str| details["expert_latency_ms"][p].as_f64().unwrap();
    assert!(0.0 < latency("p50") && latency("p50") <= latency("max"));

    let dense = tempfile::tempdir_in(".").unwrap();
    model(dense.path());
    let prepared = Prepared::new(&options(dense.path())).unwrap();
    assert!(matches!(ExpertReads::new(prepared), Err(Error::Unavailable(_))));
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
        let Ok(mut load) = Load::new(method, Rc::clone(&prepared)) else { continue };
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
        let Ok(mut load) = Load::new(method, Rc::clone(&prepared)) else { continue };
        let error = load.run(1).unwrap_err().to_string();
        assert!(error.contains("1.safetensors") && error.contains("truncated"), "{error}");
        assert!(load.loaded.is_none(), "no partial result");
    }
    fs::remove_file(&victim).unwrap();
    let mut load = Load::new(Method::Buffered, prepared).unwrap();
    assert!(load.run(1).unwrap_err().to_string().contains("Check the path"));
}

#[test]
fn a_bad_model_directory_is_an_error() {
    let dir = tempfile::tempdir_in(".").unwrap();
    let error = Prepared::new(&options(dir.path())).err().expect("no shards").to_string();
    assert!(error.contains("holds no *.safetensors"), "{error}");
}
