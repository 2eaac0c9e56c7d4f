//! The vendor's product beside ours, end to end: cuBLASLt's functions as the emulator offers them, which check what they are
//! given and compute from it. It shows that operands, strides, scales and orders are described truly; no speed.

use emulator::driver::{cublaslt_for_children, in_child};
use hostdyno::Error;
use hostdyno::cuda::Gpu;
use hostdyno::cuda::cublaslt::{FORMATS, subject};
use hostdyno::cuda::gemm::Numbers;
use hostdyno::measure::Subject;
use hostdyno::record::{Cache, Unit};
use hostdyno::workload::Gemm;

/// M, N, K that every format takes: few rows, more rows and blocks than a tile of scales, K of an odd number of blocks.
const SHAPES: [Gemm; 3] = [Gemm::new(1, 64, 256), Gemm::new(5, 144, 96), Gemm::new(133, 272, 160)];

/// What each chip's library has, of [`FORMATS`], by NVIDIA's tables.
const CHIPS: [(&str, [bool; 6]); 5] = [
    ("a100", [true, true, false, false, false, false]),
    ("l40s", [true, true, true, false, false, false]),
    ("h100", [true, true, true, false, false, false]),
    ("b200", [true, true, true, true, false, true]),
    ("rtx-pro-6000", [true, true, true, true, false, true]),
];

#[test]
fn every_format_that_a_chip_has_is_right_and_every_other_is_named() {
    for (model, has) in CHIPS {
        let has = has.map(|has| if has { "y" } else { "n" }).concat();
        let environment = [("HOSTDYNO_EMULATED_GPU", model), ("HAS", &has)];
        let ran = in_child(&environment, &[cublaslt_for_children()], || {
            let has = std::env::var("HAS").expect("set above");
            for (numbers, has) in FORMATS.into_iter().zip(has.chars()) {
                let gpu = Gpu::open(0).expect("a device");
                let chip = gpu.architecture().to_owned();
                for problem in SHAPES {
                    let subject = subject(gpu.clone(), 0, problem, numbers, rand::random());
                    match subject {
                        Ok(subject) if has == 'y' => try_out(subject, problem, numbers),
                        Err(Error::Unavailable(cause)) if has == 'n' => {
                            let said = cause.starts_with("cuBLASLt 13.0.0 has no algorithm");
                            let names = cause.contains(numbers.name()) && cause.ends_with(&chip);
                            assert!(said && names, "{cause}");
                        }
                        Ok(_) => panic!("{} on {chip} should not be there", numbers.name()),
                        Err(error) => panic!("{} on {chip}: {error}", numbers.name()),
                    }
                }
            }
        });
        // The child itself has one model.
        if ran.is_none() {
            return;
        }
    }
}

/// As the bench does: verified, timed, verified again; and recorded as what it is.
fn try_out(mut subject: impl Subject, problem: Gemm, numbers: Numbers) {
    let id = format!("gemm/cublaslt/gpu0/{}/{problem}", numbers.name());
    assert_eq!(subject.metric().as_str(), id);
    let verified = subject.verify().unwrap_or_else(|error| panic!("{id}: {error}"));
    assert_eq!(verified.checked, (problem.m * problem.n) as u64);
    subject.run(3).unwrap_or_else(|error| panic!("{id}: {error}"));
    subject.verify().unwrap_or_else(|error| panic!("{id}, after timing: {error}"));
    assert_eq!(subject.cache(), Cache::Cold);
    let path = subject.kernel_path();
    assert!(path.starts_with("cublaslt/13.0.0/sm_") && path.contains("/algo0-tile0-"), "{path}");
    assert!(path.ends_with("-split1-swizzle0/emulated"), "{path}");
    assert!(subject.disqualified().is_some(), "never a figure");
    let ceiling = subject.ceiling().expect("known").value;
    assert!(ceiling > 0.0 && ceiling.is_finite(), "{ceiling}");
    assert_eq!(subject.unit() == Unit::GigaBytes, problem.m == 1);
    let details = subject.details();
    let own = &details["cublaslt"];
    assert_eq!(own["c"], if numbers.integers() { "i32" } else { "f32" });
    assert_eq!(own["algorithm"]["cluster_shape"], 0);
    let scales = own["scales"].as_str().expect("said");
    let expected = match numbers.name() {
        "bf16" => "none",
        "int8" => "left out: the library takes no scale a row and column here",
        "fp8" if details["device"].as_str().is_some_and(|name| name.contains("H100")) => {
            "f32 a row and column"
        }
        "fp8" => "left out: the library takes no scale a row and column here",
        "mxfp8" => "E8M0 per 32",
        _ => "E4M3 per 16",
    };
    assert_eq!(scales, expected, "{id}");
}

#[test]
fn a_shape_that_the_library_does_not_take_is_skipped_in_its_words() {
    in_child(&[("HOSTDYNO_EMULATED_GPU", "h100")], &[cublaslt_for_children()], || {
        let of = |problem, index: usize| {
            let gpu = Gpu::open(0).expect("a device");
            subject(gpu, 0, problem, FORMATS[index], 1).map(drop)
        };
        assert!(of(Gemm::new(3, 70, 33), 0).is_ok(), "bf16 has no restriction");
        let refused = of(Gemm::new(3, 72, 40), 2).expect_err("fp8 wants 16 bytes");
        assert!(refused.to_string().contains("no algorithm for fp8 m3n72k40"), "{refused}");
        assert!(matches!(of(Gemm::new(3, 72, 40), 4), Err(Error::Input { .. })));
    });
}

#[test]
fn a_wrong_product_is_noticed_in_every_format() {
    in_child(&[("HOSTDYNO_EMULATED_GPU", "b200")], &[cublaslt_for_children()], || {
        type Inject = unsafe extern "C" fn(*const std::ffi::c_char) -> i32;
        for numbers in FORMATS.into_iter().filter(|numbers| numbers.name() != "mxfp4") {
            let gpu = Gpu::open(0).expect("a device");
            let mut subject = subject(gpu, 0, SHAPES[1], numbers, 7).expect("prepared");
            subject.verify().expect("right");
            // SAFETY: the emulator's symbol has this signature; the plan is a C string.
            unsafe {
                let inject = cudarc::driver::sys::culib()
                    .get::<Inject>(b"hostdyno_emulator_inject\0")
                    .expect("the emulator exports it");
                inject(c"wrong@1".as_ptr());
            }
            let error = subject.verify().expect_err(numbers.name());
            assert!(matches!(error, Error::Wrong(_)), "{}: {error}", numbers.name());
        }
    });
}

#[test]
fn a_device_that_fails_meanwhile_is_an_error_with_its_cause() {
    let faults = [("HOSTDYNO_EMULATED_FAULTS", "ecc@1")];
    in_child(&faults, &[cublaslt_for_children()], || {
        let gpu = Gpu::open(0).expect("a device");
        let mut subject = subject(gpu, 0, SHAPES[1], FORMATS[0], 7).expect("prepared");
        let error = subject.verify().expect_err("the device failed").to_string();
        assert!(error.contains("uncorrectable ECC error"), "{error}");
    });
}

#[test]
fn without_the_library_the_command_that_installs_it_is_named() {
    // No folder of wheels is looked into from here, and no toolkit.
    let nowhere = [
        ("CARGO_MANIFEST_DIR", "/nonexistent"),
        ("CUDA_PATH", "/nonexistent"),
        ("VIRTUAL_ENV", "/nonexistent"),
        ("CONDA_PREFIX", "/nonexistent"),
    ];
    in_child(&nowhere, &[], || {
        if hostdyno::cuda::cublaslt::version().is_ok() {
            eprintln!("skipped: the loader itself finds a cuBLASLt here");
            return;
        }
        // The gate's kernel isn't compiled before the library is asked for: no NVRTC is needed to be told.
        let gpu = Gpu::open(0).expect("a device");
        let refused = subject(gpu, 0, SHAPES[0], FORMATS[0], 7).map(drop).expect_err("none");
        let message = refused.to_string();
        assert!(matches!(refused, Error::Unavailable(_)), "{message}");
        assert!(message.contains("no cuBLASLt: run `./setup.sh --cublas`"), "{message}");
    });
}
