//! The GPU benches' subjects on the emulated device: they compute the right thing on every architecture, move every byte
//! once, survive a device that fails, and never pass for hardware. It shows no speed.

mod counters;

use counters::counter;
use emulator::driver::in_child;
use hostdyno::Error;
use hostdyno::cuda::Gpu;
use hostdyno::cuda::launch::{Launch, LaunchSubject};
use hostdyno::cuda::peak::{self, Loop, TensorPeak};
use hostdyno::cuda::vram::{Chase, Chunk, Gather, L2Read, Level, Operation, Vram};
use hostdyno::measure::{Subject, underway};
use hostdyno::number::Format;
use hostdyno::transfer::{
    CopyLatency, Direction, Engine, Kind, PeerCopy, Problem, Site, Together, Transfer,
};

/// One model of each architecture that kernels are compiled for.
const MODELS: [&str; 5] = ["a100", "l40s", "h100", "b200", "rtx-pro-6000"];

#[test]
fn device_memory_is_right_coalesced_and_marked_on_every_architecture() {
    for model in MODELS {
        let ran = in_child(&[("HOSTDYNO_EMULATED_GPU", model)], &[], || {
            let gpu = Gpu::open(0).expect("a device");
            assert!(gpu.name().ends_with("(emulated)"));
            for operation in Operation::ALL {
                let mut subject = Vram::new(gpu.clone(), 0, operation).expect("prepared");
                subject.verify().expect("right");
                let work = subject.work();
                let bytes = (work.bytes_read, work.bytes_written);
                // Each byte once, and every sector whole: ideal coalescing.
                let sectors = (counter("global_load_sectors"), counter("global_store_sectors"));
                assert_eq!(sectors.0 * 32, bytes.0, "{operation:?}");
                let sums = if operation == Operation::Read { sectors.1 * 32 } else { 0 };
                assert_eq!(sectors.1 * 32 - sums, bytes.1, "{operation:?}");
                subject.run(3).expect("timed");
                subject.verify().expect("right after timing, too");
                assert!(subject.disqualified().is_some(), "never a figure");
                assert!(subject.kernel_path().contains("(emulated)"));
            }
        });
        // The child itself has one model.
        if ran.is_none() {
            return;
        }
    }
}

#[test]
fn peak_loops_give_the_right_sums_on_every_architecture() {
    for model in MODELS {
        let ran = in_child(&[("HOSTDYNO_EMULATED_GPU", model)], &[], || {
            let gpu = Gpu::open(0).expect("a device");
            let mut loops = 0;
            for format in Format::ALL {
                let best = Loop::best(format, gpu.architecture()).ok();
                for which in best.into_iter().chain(Loop::warps(format, gpu.architecture())) {
                    let mut subject = TensorPeak::new(gpu.clone(), 0, which).expect("prepared");
                    let verified = subject.verify().expect("right");
                    assert!(verified.checked > 0 && verified.error_over_tolerance < 0.5);
                    let operations = 2 * counter("tensor_macs");
                    assert_eq!(operations, subject.work().flops, "{which:?}");
                    subject.run(2).expect("timed");
                    assert!(subject.ceiling().is_some_and(|ceiling| ceiling.value > 1.0));
                    assert!(subject.disqualified().is_some(), "never a figure");
                    loops += 1;
                }
                assert_eq!(peak::measured(&gpu, format), None, "the emulated device shows no peak");
            }
            assert!(loops >= 2, "{loops} loops on {}", gpu.architecture());
        });
        if ran.is_none() {
            return;
        }
    }
}

#[test]
fn a_wrong_sum_of_a_peak_loop_is_noticed() {
    in_child(&[("HOSTDYNO_EMULATED_FAULTS", "wrong@1")], &[], || {
        let gpu = Gpu::open(0).expect("a device");
        let which = Loop::best(Format::Bf16, gpu.architecture()).expect("one");
        let mut subject = TensorPeak::new(gpu, 0, which).expect("prepared");
        assert!(matches!(subject.verify(), Err(Error::Wrong(_))));
    });
}

#[test]
fn copies_between_host_and_device_are_right() {
    in_child(&[], &[], || {
        let gpu = Gpu::open(0).expect("a device");
        for direction in [Direction::HostToDevice, Direction::DeviceToHost, Direction::Both] {
            for memory in Kind::ALL {
                for engine in [Engine::Copy, Engine::Multiprocessors] {
                    let problem = Problem {
                        direction,
                        memory,
                        engine,
                        site: Site::FirstTouch,
                        bytes: 256 << 20,
                        under_load: false,
                    };
                    let mut subject = match Transfer::new(gpu.clone(), 0, problem) {
                        // Pages of 2 MiB have to be reserved by root.
                        Err(Error::Unavailable(_)) if memory == Kind::PinnedReserved => continue,
                        prepared => prepared.expect("prepared"),
                    };
                    if memory == Kind::Pageable && engine == Engine::Multiprocessors {
                        assert!(subject.verify().is_err(), "the device can't reach it");
                        continue;
                    }
                    try_out(&mut subject);
                }
            }
        }
        for direction in Direction::ONE_WAY {
            try_out(&mut CopyLatency::new(gpu.clone(), 0, direction, 4096).expect("prepared"));
        }
    });
}

#[test]
fn copies_beside_a_loaded_memory_are_right_and_say_what_the_cores_read() {
    in_child(&[], &[], || {
        let problem = Problem {
            direction: Direction::HostToDevice,
            memory: Kind::Pinned,
            engine: Engine::Copy,
            site: Site::FirstTouch,
            bytes: 256 << 20,
            under_load: true,
        };
        let gpu = Gpu::open(0).expect("a device");
        let mut subject = Transfer::new(gpu, 0, problem).expect("prepared");
        assert!(!subject.details().contains_key("injected_gb_per_second"), "nothing was timed");
        try_out(&mut subject);
        assert!(subject.details()["injected_gb_per_second"].as_f64().is_some_and(|gb| gb > 0.0));
    });
}

#[test]
fn copies_of_two_devices_are_right_together_and_from_one_to_the_other() {
    in_child(&[("HOSTDYNO_EMULATED_GPU", "rtx-pro-6000,h100")], &[], || {
        assert_eq!(Gpu::count().expect("a driver"), 2);
        for pair in [(0, 1), (1, 0)] {
            let mut subject = PeerCopy::new(pair, 256 << 20).expect("prepared");
            assert!(
                subject.kernel_path().contains("through-host"),
                "these two have no peer access"
            );
            try_out(&mut subject);
        }
        assert_eq!(PeerCopy::metric_of((0, 1)).as_str(), "pcie/peer/gpu0/gpu1");
        let sites = [(0, Site::FirstTouch), (1, Site::FirstTouch)];
        for direction in Direction::ONE_WAY {
            let mut subject = Together::new(&sites, direction, 256 << 20).expect("prepared");
            assert_eq!(subject.work().bytes_read, 2 << 20, "a mebibyte for each emulated device");
            subject.verify().expect("right");
            subject.run(70).expect("timed");
            subject.verify().expect("right after timing, too");
            assert!(subject.disqualified().is_some(), "never a figure");
        }
        let alone = Together::new(&sites[..1], Direction::HostToDevice, 1 << 20);
        assert!(matches!(alone, Err(Error::Unavailable(_))));
        assert!(matches!(PeerCopy::new((0, 2), 1 << 20), Err(Error::Unavailable(_))));
    });
}

/// Verifies, times and verifies again, as the benches do.
fn try_out(subject: &mut impl Subject) {
    let name = subject.metric();
    subject.verify().unwrap_or_else(|error| panic!("{name}: {error}"));
    subject.run(3).unwrap_or_else(|error| panic!("{name}: {error}"));
    subject.verify().unwrap_or_else(|error| panic!("{name}, after timing: {error}"));
    assert!(subject.disqualified().is_some(), "never a figure");
    assert!(subject.conditions()["gpu"]["nvml"].is_string(), "says that there is no NVML");
    assert_eq!(subject.throttled(), None);
}

#[test]
fn caches_latencies_chunks_and_launches_are_right_on_every_architecture() {
    for model in MODELS {
        let ran = in_child(&[("HOSTDYNO_EMULATED_GPU", model)], &[], || {
            let gpu = || Gpu::open(0).expect("a device");
            for chunk in Chunk::ALL {
                let mut gather = Gather::subject(gpu(), 0, chunk).expect("prepared");
                try_out(&mut gather);
                gather.verify().expect("right");
                let bytes = 32 * counter("global_load_sectors");
                let read = gather.work().bytes_read;
                assert!(bytes >= read && bytes < read + read / 4, "{chunk:?}: {bytes} for {read}");
            }
            try_out(&mut L2Read::subject(gpu(), 0).expect("prepared"));
            for level in Level::ALL {
                try_out(&mut Chase::subject(gpu(), 0, level).expect("prepared"));
            }
            for launch in Launch::ALL {
                try_out(&mut LaunchSubject::new(gpu(), 0, launch).expect("prepared"));
            }
        });
        if ran.is_none() {
            return;
        }
    }
}

/// Prepares, verifies, times and verifies once more, as the benches do.
fn measure(operation: Operation) -> Result<(), Error> {
    let mut subject = Vram::new(Gpu::open(0)?, 0, operation)?;
    subject.verify()?;
    subject.run(3)?;
    subject.verify().map(drop)
}

#[test]
fn a_failing_device_is_an_error_with_its_cause() {
    for (fault, cause) in [
        ("oom@2", "out of memory"),
        ("ecc@3", "uncorrectable ECC error"),
        ("lost@1", "unknown error"),
    ] {
        let ran = in_child(&[("HOSTDYNO_EMULATED_FAULTS", fault), ("CAUSE", cause)], &[], || {
            let cause = std::env::var("CAUSE").expect("set above");
            match measure(Operation::Copy) {
                Err(Error::Unavailable(message)) => assert!(message.contains(&cause), "{message}"),
                other => panic!("{other:?}"),
            }
        });
        // The child itself has one fault.
        if ran.is_none() {
            return;
        }
    }
}

#[test]
fn a_kernel_that_crashes_is_wrong_and_never_merely_skipped() {
    for (fault, cause) in [
        ("launch@1", "unspecified launch failure"),
        ("launch@6", "unspecified launch failure"),
        ("hang@2", "timed out"),
    ] {
        let ran = in_child(&[("HOSTDYNO_EMULATED_FAULTS", fault), ("CAUSE", cause)], &[], || {
            let cause = std::env::var("CAUSE").expect("set above");
            match measure(Operation::Copy) {
                Err(Error::Wrong(message)) => {
                    assert!(message.contains("faulted") && message.contains(&cause), "{message}");
                }
                other => panic!("{other:?}"),
            }
        });
        // The child itself has one fault.
        if ran.is_none() {
            return;
        }
    }
}

/// The cause that a device gives which can't be opened or used.
fn refusal() -> String {
    match measure(Operation::Read) {
        Err(Error::Unavailable(cause)) => cause,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_device_that_another_process_holds_says_what_to_type() {
    let exclusive = [
        ("HOSTDYNO_EMULATED_COMPUTE_MODE", "exclusive-process"),
        ("HOSTDYNO_EMULATED_FAULTS", "busy@1"),
    ];
    in_child(&exclusive, &[], || {
        let cause = refusal();
        assert!(cause.contains("exclusive mode and held by another process"), "{cause}");
        assert!(cause.contains("-c 0") && cause.contains("DEVICE_UNAVAILABLE"), "{cause}");
        measure(Operation::Read).expect("the other one has ended");
    });
}

#[test]
fn a_device_that_nobody_may_use_says_what_to_type() {
    in_child(&[("HOSTDYNO_EMULATED_COMPUTE_MODE", "prohibited")], &[], || {
        for _ in 0..2 {
            let cause = refusal();
            assert!(cause.contains("prohibits all use") && cause.contains("-c 0"), "{cause}");
        }
    });
}

#[test]
fn a_driver_older_than_the_compiler_is_told_which_one_suits_it() {
    in_child(&[("HOSTDYNO_EMULATED_DRIVER", "12.0")], &[], || {
        let cause = refusal();
        for part in ["CUDA 12.0", "NVRTC ", "nvidia-cuda-nvrtc-cu12==12.0.*", "UNSUPPORTED_PTX"] {
            assert!(cause.contains(part), "{part}: {cause}");
        }
    });
}

#[test]
fn a_slice_is_named_and_not_held_to_the_whole_card() {
    for profile in ["", "1g.10gb"] {
        let ran = in_child(&[("HOSTDYNO_EMULATED_MIG", profile)], &[], || {
            let gpu = Gpu::open(0).expect("a device");
            let vram = Vram::new(gpu.clone(), 0, Operation::Read).expect("prepared");
            let (ceiling, why) = (vram.ceiling(), vram.details().remove("ceiling_unknown"));
            match std::env::var("HOSTDYNO_EMULATED_MIG").as_deref() {
                Ok("") => assert!(ceiling.is_some() && why.is_none() && gpu.slice().is_none()),
                _ => {
                    assert_eq!((gpu.slice(), ceiling), (Some("1g.10gb"), None));
                    assert!(why.is_some_and(|why| why.to_string().contains("slice (1g.10gb)")));
                }
            }
        });
        if ran.is_none() {
            return;
        }
    }
}

#[test]
fn metrics_after_a_crash_name_the_one_that_crashed() {
    in_child(&[("HOSTDYNO_EMULATED_FAULTS", "launch@6")], &[], || {
        let gpu = Gpu::open(0).expect("a device");
        let metric = |operation: Operation| {
            underway::begin(&operation.metric(0));
            Vram::new(gpu.clone(), 0, operation)?.verify().map(drop)
        };
        let crashed = loop {
            if let Err(error) = metric(Operation::Copy) {
                break error;
            }
        };
        assert!(matches!(&crashed, Error::Wrong(why) if why.contains("faulted")), "{crashed:?}");
        assert!(hostdyno::cuda::lost());
        // The one that crashed is told the same as often as it asks, the others are told who it was.
        assert!(matches!(metric(Operation::Copy), Err(Error::Wrong(_))));
        for later in [Operation::Read, Operation::Write] {
            let Err(Error::Unavailable(why)) = metric(later) else { panic!("not told") };
            let blamed = format!("lost by {}", Operation::Copy.metric(0));
            assert!(why.contains(&blamed) && why.contains("launch failure"), "{why}");
        }
        // Who lets go of the lost context can have a fresh one.
        drop(gpu);
        measure(Operation::Read).expect("works again");
    });
}

#[test]
fn silent_corruption_is_noticed() {
    // The first two launches fill the copies.
    in_child(&[("HOSTDYNO_EMULATED_FAULTS", "wrong@3")], &[], || {
        assert!(matches!(measure(Operation::Write), Err(Error::Wrong(_))));
    });
}
