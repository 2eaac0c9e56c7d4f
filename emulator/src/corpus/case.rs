//! One case: tensors to device memory, arguments to a parameter buffer, launch, comparison.

use super::Options;
use super::compare::compare;
use super::manifest::{Argument, Case, TensorMapSpec};
use crate::machine::{Counters, GlobalMemory, Hooks, Image, LaunchConfig, launch};
use crate::ptx::{Function, Module};
use crate::tensor::swizzle::Swizzle;
use crate::tensor::tensor_map::{DataType, MAX_RANK, TensorMap};
use safetensors::SafeTensors;
use std::collections::BTreeMap;
use std::path::Path;

/// What an unwritten output holds: NaN in every floating-point type.
const UNWRITTEN: u8 = 0xff;
/// Device memory of a case, bytes.
const CAPACITY: u64 = 8 << 30;

/// Warp instructions after which a case counts as runaway: minutes of work.
const STEP_LIMIT: u64 = 1_000_000_000;

/// Runs a case; the error says why it failed.
pub(super) fn run(directory: &Path, case: &Case, options: &Options) -> Result<Counters, String> {
    let read = |extension: &str| {
        let path = directory.join(format!("{}.{extension}", case.name));
        std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))
    };
    let text = String::from_utf8(read("ptx")?).map_err(|_| "the PTX is not UTF-8 text")?;
    let data = read("safetensors")?;
    let tensors = SafeTensors::deserialize(&data).map_err(|e| format!("safetensors: {e}"))?;
    let module = Module::parse_with(&text, &options.rules).map_err(|e| e.to_string())?;

    let mut memory = GlobalMemory::new(CAPACITY);
    let image = Image::load(module, &mut memory).map_err(|e| e.to_string())?;
    let entry =
        image.module.function(&case.entry).ok_or_else(|| format!("no entry {}", case.entry))?;
    let expected = tensors.tensor(&case.output).map_err(|e| format!("{}: {e}", case.output))?;
    let place = |data: &[u8], memory: &mut GlobalMemory| -> Result<u64, String> {
        let address = memory.allocate(data.len().max(1) as u64).map_err(|e| e.to_string())?;
        memory.write(address, data).map_err(|e| e.to_string())?;
        Ok(address)
    };
    let mut addresses = BTreeMap::new();
    let size = expected.data().len();
    let output = place(&vec![UNWRITTEN; size], &mut memory)?;
    addresses.insert("out".to_owned(), output);
    for (name, view) in tensors.tensors() {
        if name != case.output && name != "out" {
            addresses.insert(name, place(view.data(), &mut memory)?);
        }
    }
    let params = parameters(case, &image.module.functions[entry], &addresses)?;
    let config = LaunchConfig {
        grid: case.grid,
        block: case.block,
        cluster: case.cluster.unwrap_or([1; 3]),
        dynamic_shared: case.dynamic_shared_bytes,
        seed: options.seed,
        step_limit: STEP_LIMIT,
    };
    let counters = launch(&image, entry, &config, &params, &mut memory, &Hooks::default())
        .map_err(|e| e.to_string())?;
    let got = memory.slice(output, size as u64).map_err(|e| e.to_string())?;
    compare(expected.dtype(), got, expected.data(), case.rtol, case.atol)?;
    Ok(counters)
}

fn parameters(
    case: &Case,
    function: &Function,
    addresses: &BTreeMap<String, u64>,
) -> Result<Vec<u8>, String> {
    if case.args.len() != function.params.len() {
        return Err(format!(
            "{} arguments for {} parameters",
            case.args.len(),
            function.params.len()
        ));
    }
    let mut buffer = vec![0; function.param_bytes as usize];
    for (argument, param) in case.args.iter().zip(&function.params) {
        let bytes = encode(argument, case, addresses)?;
        if bytes.len() != param.size as usize {
            return Err(format!(
                "parameter {} has {} bytes, its argument {}",
                param.name,
                param.size,
                bytes.len()
            ));
        }
        buffer[param.offset as usize..][..bytes.len()].copy_from_slice(&bytes);
    }
    Ok(buffer)
}

fn encode(
    argument: &Argument,
    case: &Case,
    addresses: &BTreeMap<String, u64>,
) -> Result<Vec<u8>, String> {
    let address =
        |name: &str| addresses.get(name).copied().ok_or_else(|| format!("no tensor {name}"));
    let typed = match argument {
        Argument::Tensor(name) => return Ok(address(name)?.to_le_bytes().to_vec()),
        Argument::Typed(typed) => typed,
    };
    let (kind, value) = match typed.iter().next() {
        Some(pair) if typed.len() == 1 => pair,
        _ => return Err("an argument must have exactly one type".into()),
    };
    let bad = || format!("{value} is not a value of type {kind}");
    let integer =
        || value.as_i64().map(i128::from).or(value.as_u64().map(i128::from)).ok_or_else(bad);
    let width =
        |kind: &str| kind[1..].parse::<u32>().ok().filter(|b| matches!(b, 8 | 16 | 32 | 64));
    Ok(match kind.as_str() {
        "null" => match value.as_str().and_then(width) {
            Some(bits) => vec![0; bits as usize / 8],
            None => return Err(bad()),
        },
        "f32" => (value.as_f64().ok_or_else(bad)? as f32).to_le_bytes().to_vec(),
        "f64" => value.as_f64().ok_or_else(bad)?.to_le_bytes().to_vec(),
        "i8" | "i16" | "i32" | "i64" | "u8" | "u16" | "u32" | "u64" => {
            let bits = width(kind).ok_or_else(bad)?;
            let number = integer()?;
            let (least, most) = if kind.starts_with('i') {
                (-(1i128 << (bits - 1)), (1 << (bits - 1)) - 1)
            } else {
                (0, (1i128 << bits) - 1)
            };
            if !(least..=most).contains(&number) {
                return Err(bad());
            }
            number.to_le_bytes()[..bits as usize / 8].to_vec()
        }
        "tensor_map" => {
            let name = value.as_str().ok_or_else(bad)?;
            let spec = case.tensor_maps.get(name).ok_or_else(|| format!("no tensor map {name}"))?;
            tensor_map(spec, address(&spec.tensor)?)?.encode().to_vec()
        }
        other => return Err(format!("arguments of type {other} are not known")),
    })
}

fn tensor_map(spec: &TensorMapSpec, address: u64) -> Result<TensorMap, String> {
    // `CUtensorMapDataType`.
    let number = match spec.dtype.as_str() {
        "u8" | "i8" | "e4m3" | "e5m2" | "f8_e4m3" | "f8_e5m2" | "fp8e4nv" | "fp8e5" | "ue8m0"
        | "e8m0" | "bool" => 0,
        "u16" | "i16" => 1,
        "u32" => 2,
        "i32" => 3,
        "u64" => 4,
        "i64" => 5,
        "f16" | "fp16" => 6,
        "f32" | "fp32" => 7,
        "f64" | "fp64" => 8,
        "bf16" => 9,
        "tf32" => 11,
        "e2m1" | "u4x16" | "b4x16" => 13,
        "e2m1_p64" | "u4x16_p64" | "b4x16_p64" => 14,
        "b6x16_p32" => 15,
        other => return Err(format!("tensor maps of type {other} are not known")),
    };
    let data_type = DataType::new(number).ok_or("bad data type")?;
    let rank = spec.global_dim.len();
    if !(1..=MAX_RANK).contains(&rank)
        || spec.box_dim.len() != rank
        || spec.global_strides_bytes.len() + 1 < rank
    {
        return Err(format!(
            "tensor map of {}: its lists do not have 1 to {MAX_RANK} dimensions alike",
            spec.tensor
        ));
    }
    let mut map = TensorMap::dense(data_type, address, &spec.global_dim, &spec.box_dim);
    for (to, from) in map.strides.iter_mut().zip(&spec.global_strides_bytes[..rank - 1]) {
        *to = *from;
    }
    for (to, from) in map.element_strides.iter_mut().zip(&spec.element_strides) {
        *to = *from;
    }
    map.swizzle = match spec.swizzle.as_str() {
        "" | "none" => Swizzle::None,
        "32B" => Swizzle::B32,
        "64B" => Swizzle::B64,
        "128B" => Swizzle::B128,
        other => return Err(format!("swizzle {other} is not known")),
    };
    if !matches!(spec.interleave.as_str(), "" | "none") {
        return Err(format!("interleave {} is not modelled", spec.interleave));
    }
    map.fill_nan = match spec.oob.as_str() {
        "" | "zero" | "zeros" => false,
        "nan" => true,
        other => return Err(format!("out-of-bounds fill {other} is not known")),
    };
    map.validate()?;
    Ok(map)
}
