//! Loading a model into device memory, on the emulated device: every byte arrives from page-locked slots, a device that
//! fails ends the load with its cause, and the figure never passes for hardware.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use emulator::driver::in_child;
use hostdyno::Error;
use hostdyno::cuda::Gpu;
use hostdyno::host::Destination;
use hostdyno::measure::{Plan, Profile, Subject};
use hostdyno::storage::load::{self, MakeDestination, Options};
use hostdyno::storage::read::ring::Polling;
use hostdyno::storage::synthetic::Model;
use hostdyno::transfer::VramDestination;

/// A model of one shard of pseudo-random bytes.
fn model(dir: &Path) {
    let bytes = 9_000_001;
    let json = format!(r#"{{"t":{{"dtype":"U8","shape":[{bytes}],"data_offsets":[0,{bytes}]}}}}"#);
    let mut content = (json.len() as u64).to_le_bytes().to_vec();
    content.extend(json.as_bytes());
    let mut state = 1_u64;
    content.extend((0..bytes).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    }));
    std::fs::write(dir.join("model.safetensors"), content).expect("written");
}

/// The metric of loads into the device; the error where it can't be prepared.
fn prepare(dir: &Path) -> Result<Box<dyn Subject>, Error> {
    let options = Options {
        model_dir: Some(dir.into()),
        layouts: Model::ALL.to_vec(),
        cache: dir.join("cache"),
        budget: 1 << 30,
        polling: Polling::None,
        load_time: Duration::from_secs(60),
    };
    let make: MakeDestination = Rc::new(|bytes| {
        let gpu = Gpu::open(0)?;
        Ok(Box::new(VramDestination::new(&gpu, bytes)?) as Box<dyn Destination>)
    });
    let mut plan = Plan::new(Profile::Quick);
    load::plan(&mut plan, &options, &[("gpu0".into(), make)]);
    let mut metrics = plan.into_metrics().into_iter();
    let planned = metrics.find(|m| m.id.as_str() == "storage/load/pipelined/gpu0");
    (planned.expect("planned").prepare)()
}

#[test]
fn a_model_arrives_in_device_memory() {
    in_child(&[], &[], || {
        let dir = tempfile::tempdir_in(".").expect("a directory");
        model(dir.path());
        let mut subject = prepare(dir.path()).expect("prepared");
        assert!(subject.verify().expect("right").checked > 9_000_000);
        subject.run(3).expect("timed");
        subject.verify().expect("right after timing, too");
        assert!(subject.disqualified().is_some(), "never a figure");
        assert!(subject.kernel_path().contains("cuMemcpyHtoDAsync"), "{}", subject.kernel_path());
        let details = subject.details();
        for part in ["stage_register_s", "read_only_s", "copy_only_s", "overlap_efficiency"] {
            assert!(details[part].as_f64().is_some_and(|s| s > 0.0), "{part}");
        }
    });
}

#[test]
fn a_device_without_room_is_no_destination() {
    in_child(&[], &[], || {
        let gpu = Gpu::open(0).expect("a device");
        let all = usize::try_from(gpu.free_bytes().expect("told")).expect("fits");
        let Err(Error::Unavailable(why)) = VramDestination::new(&gpu, all) else {
            panic!("there is no room for the driver");
        };
        assert!(why.contains("free"), "{why}");
        let mut small = VramDestination::new(&gpu, 1000).expect("made");
        assert!(small.read_back(990, &mut [0; 11]).is_err(), "outside");
    });
}
