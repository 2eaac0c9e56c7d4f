//! What the tests read from the machine code of kernels.
//!
//! Registers and stack are attributes in the section `.nv.info`: format 4, a number, 8 bytes, which are a symbol and the
//! value. Instructions are listed by NVIDIA's disassembler, which `setup.sh` installs.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Attributes in `.nv.info` (EIATTR_*, as `cuobjdump -elf` names them).
const MIN_STACK_SIZE: u8 = 0x12;
const REGISTER_COUNT: u8 = 0x2f;
/// 32-bit registers of a multiprocessor (CUDA C++ Programming Guide, compute capabilities 8.0 to 12.0).
const REGISTERS: u32 = 65_536;
/// Instructions of tensor units, block-scaled ones (`.SF`) and those of warp groups (`G`) included.
const TENSOR: [&str; 7] = ["HMMA", "IMMA", "QMMA", "OMMA", "HGMMA", "IGMMA", "QGMMA"];

/// The loop in which a kernel multiplies.
#[derive(Debug)]
pub struct MainLoop {
    instructions: usize,
    multiplying: usize,
    /// Tensor instructions without their operands: `HMMA.16816.F32.BF16`.
    pub mnemonics: BTreeSet<String>,
}

impl MainLoop {
    /// Tensor instructions over all instructions.
    pub fn density(&self) -> f64 {
        self.multiplying as f64 / self.instructions as f64
    }

    /// Whether every tensor instruction starts with `mnemonic`.
    pub fn is_all(&self, mnemonic: &str) -> bool {
        self.mnemonics.iter().all(|found| found.starts_with(mnemonic))
    }
}

/// Audits the one kernel in `cubin`: it has no stack and touches no local memory, and `threads` threads fit in the
/// registers of a multiprocessor. Returns the loop in which it multiplies: that with most tensor instructions for its
/// length.
pub fn audit(cubin: &[u8], threads: u32, name: &str) -> MainLoop {
    assert_eq!(attribute(cubin, MIN_STACK_SIZE), 0, "{name} has a stack");
    let registers = attribute(cubin, REGISTER_COUNT);
    // A warp gets registers by 8 a thread.
    let all = threads * registers.next_multiple_of(8);
    assert!(all <= REGISTERS, "{name}: {threads} threads with {registers} registers don't fit");
    let code = Code::of(cubin);
    let local: Vec<_> = code.instructions.iter().filter(|i| is_local(i)).collect();
    assert!(local.is_empty(), "{name} spills: {local:?}");
    let loops = code.loops().into_iter().filter(|of| of.multiplying > 0);
    loops.max_by(|a, b| a.density().total_cmp(&b.density())).unwrap_or_else(|| {
        panic!(
            "{name} has no loop with a tensor instruction in {} instructions",
            code.instructions.len()
        )
    })
}

fn attribute(cubin: &[u8], number: u8) -> u32 {
    let at = cubin.windows(4).position(|w| w == [0x04, number, 0x08, 0x00]);
    let at = at.expect("the attribute") + 8;
    u32::from_le_bytes(cubin[at..at + 4].try_into().expect("4 bytes"))
}

/// Instructions without address and predicate, and which of them labels stand before.
struct Code {
    instructions: Vec<String>,
    labels: HashMap<String, usize>,
}

impl Code {
    fn of(cubin: &[u8]) -> Self {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), cubin).expect("written");
        let output = Command::new(disassembler()).arg("-c").arg(file.path()).output();
        let output = output.unwrap_or_else(|e| panic!("no nvdisasm ({e}): run ./setup.sh"));
        assert!(output.status.success(), "nvdisasm: {}", String::from_utf8_lossy(&output.stderr));
        Self::parse(&String::from_utf8_lossy(&output.stdout))
    }

    fn parse(text: &str) -> Self {
        let (mut instructions, mut labels) = (Vec::new(), HashMap::new());
        for line in text.lines().map(str::trim) {
            if let Some(label) = line.strip_suffix(':') {
                labels.insert(label.to_owned(), instructions.len());
            } else if let Some((_, rest)) = line.split_once("*/").filter(|_| line.starts_with("/*"))
            {
                let rest = rest.trim().trim_end_matches(';').trim();
                let guarded = rest.strip_prefix('@').and_then(|rest| rest.split_once(' '));
                instructions.push(guarded.map_or(rest, |(_, rest)| rest).trim().to_owned());
            }
        }
        Self { instructions, labels }
    }

    /// What lies between the target of a branch backwards and the branch.
    fn loops(&self) -> Vec<MainLoop> {
        let backwards = self.instructions.iter().enumerate().filter_map(|(end, instruction)| {
            let target = instruction.strip_prefix("BRA")?.split_once("`(")?.1.trim_end_matches(')');
            let start = *self.labels.get(target)?;
            (start <= end).then(|| &self.instructions[start..=end])
        });
        backwards
            .map(|body| {
                let multiplying = body.iter().filter(|i| is_tensor(i));
                let mnemonics: Vec<_> = multiplying.map(|i| mnemonic(i).to_owned()).collect();
                MainLoop {
                    instructions: body.len(),
                    multiplying: mnemonics.len(),
                    mnemonics: mnemonics.into_iter().collect(),
                }
            })
            .collect()
    }
}

/// `HMMA.16816.F32.BF16` of `HMMA.16816.F32.BF16 R4, R8, R12, R4`.
fn mnemonic(instruction: &str) -> &str {
    instruction.split_whitespace().next().unwrap_or_default()
}

fn operation(instruction: &str) -> &str {
    mnemonic(instruction).split('.').next().unwrap_or_default()
}

fn is_tensor(instruction: &str) -> bool {
    TENSOR.contains(&operation(instruction))
}

fn is_local(instruction: &str) -> bool {
    matches!(operation(instruction), "LDL" | "STL")
}

/// The wheel's disassembler, a toolkit's, or what `PATH` knows.
fn disassembler() -> PathBuf {
    let wheels = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cuda/nvidia");
    let wheels = std::fs::read_dir(wheels).into_iter().flatten().flatten().map(|e| e.path());
    let toolkit = std::env::var_os("CUDA_PATH").unwrap_or_else(|| "/usr/local/cuda".into());
    wheels
        .chain([PathBuf::from(toolkit)])
        .map(|root| root.join("bin/nvdisasm"))
        .find(|path| path.exists())
        .unwrap_or_else(|| "nvdisasm".into())
}

#[test]
fn the_audit_sees_loops_tensor_instructions_and_local_memory() {
    let code = Code::parse(
        "        .global kernel\n\
         kernel:\n\
                 /*0000*/                   LDC R1, c[0x0][0x37c] ;\n\
         .L_x_1:\n\
                 /*0010*/                   HMMA.16816.F32.BF16 R4, R8, R12, R4 ;\n\
                 /*0020*/              @!P0 BRA `(.L_x_0) ;\n\
                 /*0030*/                   IADD R2, R2, 0x1 ;\n\
                 /*0040*/               @P1 BRA `(.L_x_1) ;\n\
         .L_x_0:\n\
                 /*0050*/               @P2 STL.64 [R1], R2 ;\n",
    );
    let loops = code.loops();
    assert_eq!((loops.len(), loops[0].instructions, loops[0].multiplying), (1, 4, 1));
    assert_eq!(loops[0].density(), 0.25);
    assert!(loops[0].is_all("HMMA.16816") && !loops[0].is_all("IMMA"));
    assert_eq!(code.instructions.iter().filter(|i| is_local(i)).count(), 1);
}
