//! Attention on the emulated device: right on every architecture in every format, odd shapes included, without bank
//! conflicts in the main loops; and what has no kernel says why. It shows no speed.

mod counters;

use counters::{counter, counter_of};
use emulator::driver::in_child;
use hostdyno::Error;
use hostdyno::cuda::Gpu;
use hostdyno::cuda::attention::AttentionSubject;
use hostdyno::measure::Subject;
use hostdyno::number::Format;
use hostdyno::workload::{Attention, DEEPSEEK_R1, GPT_OSS_120B, LLAMA_3_1_70B, Phase};

/// One model of each architecture that kernels are compiled for.
const MODELS: [&str; 5] = ["a100", "l40s", "h100", "b200", "rtx-pro-6000"];

fn decode(group: usize, kv_heads: usize, keys: usize, dim: usize) -> Attention {
    Attention {
        phase: Phase::Decode,
        heads: group * kv_heads,
        kv_heads,
        queries: 1,
        keys,
        qk_dim: dim,
        v_dim: dim,
        latent: false,
        scale_dim: dim,
    }
}

/// Absorbed MLA with DeepSeek's dimensions.
fn latent(heads: usize, keys: usize) -> Attention {
    Attention { heads, ..DEEPSEEK_R1.decode(keys) }
}

fn prefill(heads: usize, queries: usize, keys: usize, qk_dim: usize, v_dim: usize) -> Attention {
    Attention {
        phase: Phase::Prefill,
        heads,
        kv_heads: heads / 2,
        queries,
        keys,
        qk_dim,
        v_dim,
        latent: false,
        scale_dim: qk_dim,
    }
}

/// Prepares, verifies, times and verifies again, as the benches do. Fresh random inputs.
fn check(gpu: &std::rc::Rc<Gpu>, problem: Attention, format: Format) -> AttentionSubject {
    let prepared = AttentionSubject::new(gpu.clone(), 0, problem, format, rand::random());
    verified(prepared.unwrap_or_else(|error| panic!("{problem} in {format}: {error}")))
}

/// [`check`] with a cache in pages.
fn check_paged(gpu: &std::rc::Rc<Gpu>, problem: Attention, format: Format, page: usize) {
    let seed = rand::random();
    let prepared = AttentionSubject::paged(gpu.clone(), 0, problem, format, page, seed);
    let subject = prepared.unwrap_or_else(|error| panic!("{problem} in {format}: {error}"));
    let path = verified(subject).kernel_path();
    assert!(path.contains(&format!("-page{page}-")), "{path}");
}

/// [`check`] with operands that are expanded to bf16.
fn check_expanded(gpu: &std::rc::Rc<Gpu>, problem: Attention, format: Format) -> AttentionSubject {
    let prepared = AttentionSubject::expanded(gpu.clone(), 0, problem, format, rand::random());
    let subject = prepared.unwrap_or_else(|error| panic!("{problem} in {format}: {error}"));
    let subject = verified(subject);
    let (metric, path) = (subject.metric().to_string(), subject.kernel_path());
    assert!(metric.starts_with(&format!("attention/gpu0/{format}-to-bf16/prefill-")), "{metric}");
    assert!(path.contains(&format!("/mma.bf16/prefill-{format}-to-bf16-")), "{path}");
    subject
}

/// Formats that are expanded.
const EXPANDED: [Format; 2] = [Format::Fp8E4m3, Format::Mxfp4];

fn verified(mut subject: AttentionSubject) -> AttentionSubject {
    subject.verify().unwrap_or_else(|error| panic!("{error}"));
    subject.run(2).expect("timed");
    subject.verify().unwrap_or_else(|error| panic!("after timing: {error}"));
    assert!(subject.disqualified().is_some(), "never a figure");
    subject
}

/// Formats with a prefill kernel: those that the chip has a tensor instruction for.
fn prefill_formats(gpu: &Gpu) -> Vec<Format> {
    let fp8 = matches!(gpu.architecture(), "sm_89" | "sm_120a").then_some(Format::Fp8E4m3);
    let mxfp4 = (gpu.architecture() == "sm_120a").then_some(Format::Mxfp4);
    [Format::Bf16, Format::Int8].into_iter().chain(fp8).chain(mxfp4).collect()
}

#[test]
fn right_on_every_architecture() {
    for model in MODELS {
        let ran = in_child(&[("HOSTDYNO_EMULATED_GPU", model)], &[], || {
            let gpu = Gpu::open(0).expect("a device");
            for format in Format::MAIN {
                check(&gpu, decode(8, 2, 297, 128), format);
                check(&gpu, latent(70, 150), format);
            }
            for format in prefill_formats(&gpu) {
                check(&gpu, prefill(2, 77, 201, 128, 128), format);
                check(&gpu, prefill(2, 130, 130, 64, 64), format);
                check(&gpu, prefill(2, 40, 99, 192, 128), format);
            }
            for format in EXPANDED {
                check_expanded(&gpu, prefill(2, 77, 201, 128, 128), format);
                check_expanded(&gpu, prefill(2, 130, 130, 64, 64), format);
                check_expanded(&gpu, prefill(2, 40, 99, 192, 128), format);
            }
        });
        // The child itself has one model.
        if ran.is_none() {
            return;
        }
    }
}

#[test]
fn decode_is_right_in_odd_shapes_whatever_the_schedule() {
    for seed in ["0", "7"] {
        let ran = in_child(&[("HOSTDYNO_EMULATED_SEED", seed)], &[], || {
            let gpu = Gpu::open(0).expect("a device");
            for format in Format::MAIN {
                // Groups that fill a product, that don't, and none; splits of no equal length; one key.
                for (group, keys, dim) in
                    [(16, 300, 128), (5, 131, 64), (9, 257, 64), (1, 1, 128), (8, 17, 64)]
                {
                    check(&gpu, decode(group, 1, keys, dim), format);
                }
                // Pages of one tile and of several; pages of several heads; a last page that is not full.
                for (group, kv_heads, keys, page) in
                    [(8, 2, 300, 64), (5, 3, 131, 32), (2, 1, 5, 16)]
                {
                    for dim in [64, 128] {
                        check_paged(&gpu, decode(group, kv_heads, keys, dim), format, page);
                    }
                }
            }
        });
        if ran.is_none() {
            return;
        }
    }
}

#[test]
fn latent_decode_is_right_in_odd_shapes_whatever_the_schedule() {
    for seed in ["0", "7"] {
        let model = ("HOSTDYNO_EMULATED_GPU", "l40s");
        let ran = in_child(&[model, ("HOSTDYNO_EMULATED_SEED", seed)], &[], || {
            let gpu = Gpu::open(0).expect("a device");
            for format in Format::MAIN {
                // Heads enough that a split has several tiles; heads and keys that fill no tile; one key.
                for (heads, keys) in [(640, 300), (33, 129), (3, 1)] {
                    check(&gpu, latent(heads, keys), format);
                }
                // Pages of one tile and of several, the last not full.
                for (heads, keys, page) in [(640, 130, 64), (33, 70, 32), (3, 5, 16)] {
                    check_paged(&gpu, latent(heads, keys), format, page);
                }
            }
        });
        if ran.is_none() {
            return;
        }
    }
}

#[test]
fn prefill_is_right_in_odd_shapes_whatever_the_schedule() {
    for seed in ["0", "7"] {
        let model = ("HOSTDYNO_EMULATED_GPU", "l40s");
        let ran = in_child(&[model, ("HOSTDYNO_EMULATED_SEED", seed)], &[], || {
            let gpu = Gpu::open(0).expect("a device");
            for format in prefill_formats(&gpu) {
                for (queries, keys) in [(1, 1), (129, 129), (3, 300), (128, 131)] {
                    check(&gpu, prefill(2, queries, keys, 64, 64), format);
                    check(&gpu, prefill(2, queries, keys, 128, 128), format);
                }
            }
        });
        if ran.is_none() {
            return;
        }
    }
}

#[test]
fn prefill_in_mxfp4_is_right_in_odd_shapes_whatever_the_schedule() {
    for seed in ["0", "7"] {
        let model = ("HOSTDYNO_EMULATED_GPU", "rtx-pro-6000");
        let ran = in_child(&[model, ("HOSTDYNO_EMULATED_SEED", seed)], &[], || {
            let gpu = Gpu::open(0).expect("a device");
            // One key; blocks of queries and tiles of keys that are not full, and several; a last block of scales of one key.
            for (queries, keys) in [(1, 1), (129, 129), (3, 300), (128, 131), (150, 290)] {
                for (qk_dim, v_dim) in [(64, 64), (128, 128), (192, 128)] {
                    let problem = prefill(4, queries, keys, qk_dim, v_dim);
                    let subject = check(&gpu, problem, Format::Mxfp4);
                    let (metric, path) = (subject.metric().to_string(), subject.kernel_path());
                    assert!(metric.starts_with("attention/gpu0/mxfp4/prefill-"), "{metric}");
                    assert!(path.ends_with("/mma.mxfp4/prefill-v-along-keys-128x128"), "{path}");
                }
            }
        });
        if ran.is_none() {
            return;
        }
    }
}

#[test]
fn expanded_prefill_is_right_in_odd_shapes_whatever_the_schedule() {
    for seed in ["0", "7"] {
        let model = ("HOSTDYNO_EMULATED_GPU", "a100");
        let ran = in_child(&[model, ("HOSTDYNO_EMULATED_SEED", seed)], &[], || {
            let gpu = Gpu::open(0).expect("a device");
            for format in EXPANDED {
                // One key; blocks of queries that are not full; keys that fill no tile, and several.
                for (queries, keys) in [(1, 1), (257, 257), (3, 300), (129, 131)] {
                    for (qk_dim, v_dim) in [(64, 64), (128, 128), (192, 128)] {
                        check_expanded(&gpu, prefill(2, queries, keys, qk_dim, v_dim), format);
                    }
                }
            }
        });
        if ran.is_none() {
            return;
        }
    }
}

/// Extra passes over banks, and what global loads asked for less what sectors they touched: of one attention.
fn costs(gpu: &std::rc::Rc<Gpu>, problem: Attention, format: Format) -> (u64, i64) {
    costs_of(check(gpu, problem, format))
}

fn costs_of(mut subject: AttentionSubject) -> (u64, i64) {
    subject.verify().expect("right");
    let touched = 32 * counter("global_load_sectors") as i64;
    (counter("bank_conflicts"), counter("global_load_bytes") as i64 - touched)
}

#[test]
fn main_loop_of_decode_meets_no_bank_twice_and_reads_whole_sectors() {
    in_child(&[], &[], || {
        let gpu = Gpu::open(0).expect("a device");
        for dim in [64, 128] {
            for format in Format::MAIN {
                // One block a head for both: what both have in common is the end, where partial results are merged.
                let (short, long) = (decode(8, 1, 64, dim), decode(8, 1, 128, dim));
                let (short, long) = (costs(&gpu, short, format), costs(&gpu, long, format));
                assert_eq!(short.0, long.0, "{format} {dim}");
                // Further keys touch no sector of which they do not want all.
                assert!(short.1 <= long.1, "{format} {dim}: {short:?} {long:?}");
            }
        }
    });
}

#[test]
fn main_loop_of_latent_decode_meets_no_bank_twice_and_reads_the_cache_once_a_block() {
    in_child(&[("HOSTDYNO_EMULATED_GPU", "l40s")], &[], || {
        let gpu = Gpu::open(0).expect("a device");
        let kernel = c"attention_decode_latent";
        // 20 blocks of heads leave seven splits: of one tile of 16 keys each, or of two.
        let (blocks, short, long) = (20, 7 * 16, 2 * 7 * 16);
        for format in Format::MAIN {
            let of = |keys| {
                let problem = latent(32 * blocks, keys);
                let prepared = AttentionSubject::new(gpu.clone(), 0, problem, format, 7);
                prepared.expect("prepared").verify().expect("right");
                ["bank_conflicts", "global_load_sectors"].map(|name| counter_of(kernel, name))
            };
            let (short_of, long_of) = (of(short), of(long));
            assert_eq!(short_of[0], long_of[0], "{format}: conflicts of further tiles");
            let row = format.stored_row_bytes(576) as u64;
            let read = 32 * (long_of[1] - short_of[1]);
            let cache = blocks as u64 * (long - short) as u64 * row;
            // A sector of scales is shared by the tiles that end and start in it.
            assert!(read >= cache && read <= cache + cache / 16, "{format}: {read} of {cache}");
        }
    });
}

#[test]
fn prefill_meets_no_bank_twice_and_reads_whole_sectors() {
    in_child(&[("HOSTDYNO_EMULATED_GPU", "l40s")], &[], || {
        let gpu = Gpu::open(0).expect("a device");
        for format in prefill_formats(&gpu) {
            meets_no_bank_twice_and_reads_whole_sectors(&gpu, format);
        }
    });
}

#[test]
fn prefill_in_mxfp4_meets_no_bank_twice_and_reads_whole_sectors() {
    in_child(&[("HOSTDYNO_EMULATED_GPU", "rtx-pro-6000")], &[], || {
        let gpu = Gpu::open(0).expect("a device");
        meets_no_bank_twice_and_reads_whole_sectors(&gpu, Format::Mxfp4);
    });
}

fn meets_no_bank_twice_and_reads_whole_sectors(gpu: &std::rc::Rc<Gpu>, format: Format) {
    for (qk_dim, v_dim) in [(64, 64), (128, 128), (192, 128)] {
        let name = format!("prefill {format} {qk_dim}/{v_dim}");
        let (conflicts, wasted) = costs(gpu, prefill(2, 128, 256, qk_dim, v_dim), format);
        assert_eq!(conflicts, 0, "{name}");
        // Scales of queries are read by four lanes each: more bytes than there are.
        assert!(wasted >= 0, "{name}: {wasted}");
        assert_eq!(32 * counter("global_store_sectors"), counter("global_store_bytes"), "{name}");
    }
}

#[test]
fn expanded_prefill_meets_no_bank_twice_and_reads_whole_sectors() {
    in_child(&[("HOSTDYNO_EMULATED_GPU", "a100")], &[], || {
        let gpu = Gpu::open(0).expect("a device");
        for format in EXPANDED {
            for (qk_dim, v_dim) in [(64, 64), (128, 128), (192, 128)] {
                let problem = prefill(2, 256, 256, qk_dim, v_dim);
                let (conflicts, wasted) = costs_of(check_expanded(&gpu, problem, format));
                assert_eq!(conflicts, 0, "{format} {qk_dim}/{v_dim}");
                // Scales of queries are read by four lanes each: more bytes than there are.
                assert!(wasted >= 0, "{format} {qk_dim}/{v_dim}: {wasted}");
            }
        }
    });
}

#[test]
fn the_names_are_the_defaults() {
    let of =
        |problem: Attention| AttentionSubject::metric_id(&problem, Format::Bf16, 0).to_string();
    assert_eq!(of(LLAMA_3_1_70B.decode(8192)), "attention/gpu0/bf16/decode-h64kv8q1s8192d128v128");
}

#[test]
fn defaults_run_or_say_why_not() {
    in_child(&[], &[], || {
        let gpu = Gpu::open(0).expect("a device");
        for problem in
            [LLAMA_3_1_70B.decode(8192), GPT_OSS_120B.decode(8192), DEEPSEEK_R1.decode(8192)]
        {
            for format in Format::MAIN {
                let path = check(&gpu, problem, format).kernel_path();
                assert!(path.starts_with("cuda/sm_90a/mma.bf16/decode-"), "{path}");
                assert_eq!(path.contains("-to-bf16"), format != Format::Bf16, "{path}");
            }
        }
        let refused =
            |problem, format| match AttentionSubject::new(gpu.clone(), 0, problem, format, 0) {
                Err(Error::Unavailable(cause)) => cause,
                other => panic!("{:?}", other.map(|subject| subject.kernel_path())),
            };
        assert!(refused(LLAMA_3_1_70B.prefill(64, 64), Format::Mxfp4).contains("no native mxfp4"));
    });
}
