use std::fs;
use std::path::Path;

use proptest::prelude::*;
use safetensors::Dtype;

use super::header::MAX_HEADER_BYTES;
use super::*;

/// A file's bytes: the length field, `json`, and `data` bytes of content.
fn shard(json: &str, data: usize) -> Vec<u8> {
    let mut bytes = (json.len() as u64).to_le_bytes().to_vec();
    bytes.extend(json.as_bytes());
    bytes.resize(bytes.len() + data, 7);
    bytes
}

fn read(bytes: &[u8]) -> crate::Result<Header> {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    Header::read(file.path())
}

/// Asserts that `bytes` are refused with a message that holds `part`.
fn refused(bytes: &[u8], part: &str) {
    let message = read(bytes).unwrap_err().to_string();
    assert!(message.contains(part), "{message:?} lacks {part:?}");
    assert!(message.contains("Download it again"), "{message:?} does not say what to do");
    assert!(message.len() < 600, "a hostile header must not flood the terminal");
}

const A: &str = r#""a":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}"#;

#[test]
fn a_valid_header_gives_absolute_offsets() {
    let json = format!(
        r#"{{"__metadata__":{{"format":"pt"}},"b":{{"dtype":"F8_E4M3","shape":[5],"data_offsets":[24,29]}},{A},"z":{{"dtype":"BF16","shape":[4,0],"data_offsets":[29,29]}}}}  "#
    );
    let header = read(&shard(&json, 29)).unwrap();
    let start = 8 + json.len() as u64;
    assert_eq!(header.data_offset, start);
    assert_eq!(header.file_bytes, start + 29);
    let seen: Vec<_> = header
        .tensors
        .iter()
        .map(|t| (t.name.as_str(), t.element.name, t.offset, t.bytes))
        .collect();
    assert_eq!(
        seen,
        [("a", "F32", start, 24), ("b", "F8_E4M3", start + 24, 5), ("z", "BF16", start + 29, 0)]
    );
    assert_eq!(header.tensors[0].shape, [2, 3]);
}

#[test]
fn what_the_safetensors_crate_writes_is_read() {
    let data: Vec<u8> = (0..96).collect();
    let view = |dtype, shape: &[usize], range: std::ops::Range<usize>| {
        safetensors::tensor::TensorView::new(dtype, shape.to_vec(), &data[range]).unwrap()
    };
    let bytes = safetensors::serialize(
        [("w", view(Dtype::BF16, &[4, 8], 0..64)), ("scale", view(Dtype::F32, &[8], 64..96))],
        None,
    )
    .unwrap();
    let header = read(&bytes).unwrap();
    for tensor in &header.tensors {
        let expected = if tensor.name == "w" { &data[..64] } else { &data[64..] };
        assert_eq!(&bytes[tensor.offset as usize..][..tensor.bytes as usize], expected);
    }
    assert_eq!(header.tensors.len(), 2);
}

#[test]
fn hostile_headers_are_refused_by_name_of_the_fault() {
    refused(b"", "fewer than its length field");
    refused(&[1, 2, 3], "fewer than its length field");
    refused(&u64::MAX.to_le_bytes(), "more than the format's");
    refused(&(MAX_HEADER_BYTES + 1).to_le_bytes(), "more than the format's");
    refused(&MAX_HEADER_BYTES.to_le_bytes(), "only 0 follow");
    refused(&shard("", 0), "does not start with '{'");
    refused(&shard(" {}", 0), "does not start with '{'");
    refused(&shard("{", 0), "not valid JSON");
    refused(&shard("{}{}", 0), "not valid JSON");
    let mut not_utf8 = shard(&format!("{{{A}}}"), 24);
    not_utf8[10] = 0xff;
    refused(&not_utf8, "not UTF-8 at byte 2");
    refused(&shard(&"{\"a\":".repeat(1_000_000), 0), "not valid JSON");
    refused(&shard(&format!("{{\"__metadata__\":{}", "[".repeat(1_000_000)), 0), "not valid JSON");
}

#[test]
fn hostile_offsets_are_refused_by_name_of_the_fault() {
    let one = |dtype: &str, shape: &str, begin: u64, end: u64| {
        format!(r#"{{"t":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{begin},{end}]}}}}"#)
    };
    refused(&shard(&format!("{{{A}}}"), 23), "truncated");
    refused(&shard(&format!("{{{A}}}"), 25), "1 bytes follow the last tensor");
    refused(&shard("{}", 4), "4 bytes follow the last tensor");
    refused(&shard(&format!("{{{A},{A}}}"), 24), "is there twice");
    refused(&shard(&one("U8", "[4]", 4, 8), 8), "hole of 4 bytes");
    refused(&shard(&one("U8", "[0]", 4, 2), 8), "before it begins");
    refused(&shard(&one("U8", "[8]", 0, u64::MAX), 8), "truncated");
    refused(&shard(&one("F32", "[8]", 0, 8), 8), "needs 32");
    refused(&shard(&one("F4", "[3]", 0, 2), 2), "not a number of bytes");
    refused(&shard(&one("U8", "[4294967296,4294967296]", 0, 8), 8), "not a number of bytes");
    refused(&shard(&one("F64", "[2305843009213693952]", 0, 8), 8), "not a number of bytes");
    refused(&shard(&one("Q9", "[8]", 0, 8), 8), "Q9");
    refused(&shard(&one("U8", "[-8]", 0, 8), 8), "not valid JSON");
    refused(
        &shard(&one("U8", &format!("[{}1]", "1,".repeat(1_000_000)), 0, 1), 1),
        "64 dimensions",
    );
    let long = "x".repeat(1_000_000);
    refused(
        &shard(&format!(r#"{{"{long}":{{"dtype":"U8","shape":[9],"data_offsets":[0,1]}}}}"#), 1),
        "needs 9",
    );
    let overlap = format!(r#"{{{A},"b":{{"dtype":"U8","shape":[8],"data_offsets":[20,28]}}}}"#);
    refused(&shard(&overlap, 28), "overlaps");
}

#[test]
fn a_fifo_is_refused_instead_of_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let name = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    // SAFETY: `name` is a NUL-terminated path.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let message = ShardSet::open(dir.path()).unwrap_err().to_string();
    assert!(message.contains("not a regular file"), "{message}");
}

/// Writes a directory of one-tensor shards and an index with `weight_map`.
fn model(shards: &[(&str, &str)], weight_map: Option<&str>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (file, tensor) in shards {
        let json = format!(r#"{{"{tensor}":{{"dtype":"U8","shape":[16],"data_offsets":[0,16]}}}}"#);
        fs::write(dir.path().join(file), shard(&json, 16)).unwrap();
    }
    if let Some(map) = weight_map {
        let text = format!(r#"{{"metadata":{{"total_size":1}},"weight_map":{map}}}"#);
        fs::write(dir.path().join(index::INDEX_NAME), text).unwrap();
    }
    dir
}

#[track_caller]
fn open_fails(dir: &Path, part: &str) {
    let error = ShardSet::open(dir).unwrap_err();
    assert!(error.to_string().contains(part), "{error} lacks {part:?}");
}

#[test]
fn a_directory_is_opened_by_index_or_by_name() {
    let files = [("b.safetensors", "y"), ("a.safetensors", "x"), ("c.safetensors", "z")];
    let set = ShardSet::open(model(&files, None).path()).unwrap();
    let tensors: Vec<_> = set.shards.iter().map(|s| s.header.tensors[0].name.as_str()).collect();
    assert_eq!(tensors, ["x", "y", "z"]);
    assert_eq!(set.bytes(), set.shards.iter().map(|s| s.header.file_bytes).sum::<u64>());
    let one = set.shards[0].header.file_bytes;
    let two = set.clone().within(2 * one);
    assert_eq!((two.shards.len(), two.left_out), (2, 1));
    assert_eq!(set.within(1).shards.len(), 1);

    let indexed = model(&files, Some(r#"{"y":"b.safetensors","x":"a.safetensors"}"#));
    assert_eq!(ShardSet::open(indexed.path()).unwrap().shards.len(), 2);
}

#[test]
fn the_sizes_of_elements_are_those_of_the_reference_implementation() {
    // Every type that the crate has, by the names that its own serialisation gives.
    for name in [
        "BOOL", "F4", "F6_E2M3", "F6_E3M2", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "I16",
        "U16", "F16", "BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64",
    ] {
        let dtype: Dtype = serde_json::from_str(&format!("{name:?}")).unwrap();
        let element = Element::from(dtype);
        assert_eq!(element.name, name);
        assert_eq!(element.tensor_bytes(&[16]), Some(2 * dtype.bitsize() as u64), "{name}");
    }
}

#[test]
fn gguf_models_are_found_whole_or_not_at_all() {
    let header = |tensor: &str| {
        let mut file = b"GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        file.extend((tensor.len() as u64).to_le_bytes());
        file.extend(tensor.as_bytes());
        file.extend([1, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        file.resize(file.len().next_multiple_of(32) + 8, 1);
        file
    };
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("m-00001-of-00002.gguf"), header("a")).unwrap();
    open_fails(dir.path(), "m-00002-of-00002.gguf");
    fs::write(dir.path().join("m-00002-of-00002.gguf"), header("b")).unwrap();
    let set = ShardSet::open(dir.path()).unwrap();
    assert_eq!((set.shards.len(), set.tensors()), (2, 2));
    fs::write(dir.path().join("other.gguf"), header("c")).unwrap();
    open_fails(dir.path(), "more than one GGUF model");
    fs::write(dir.path().join("m-00002-of-00002.gguf"), header("a")).unwrap();
    fs::remove_file(dir.path().join("other.gguf")).unwrap();
    open_fails(dir.path(), "is in");
}

#[test]
fn a_bad_directory_is_an_error_that_says_what_to_do() {
    let files = [("a.safetensors", "x"), ("b.safetensors", "y")];
    open_fails(Path::new("/nonexistent/model"), "Check the path");
    open_fails(model(&[], None).path(), "HOSTDYNO_MODEL_DIR");
    open_fails(model(&[], Some("{}")).path(), "HOSTDYNO_MODEL_DIR");
    open_fails(
        model(&files, Some(r#"{"x":"a.safetensors","q":"z-7.safetensors"}"#)).path(),
        "1 of 2 shards are missing",
    );
    open_fails(model(&files, Some(r#"{"q":"z-7.safetensors"}"#)).path(), "z-7.safetensors");
    open_fails(model(&files, Some(r#"{"q":"../a.safetensors"}"#)).path(), "outside the directory");
    open_fails(model(&files, Some(r#"{"q":"/etc/passwd"}"#)).path(), "outside the directory");
    open_fails(model(&files, Some(r#"{"q":""}"#)).path(), "outside the directory");
    open_fails(model(&files, Some("[1]")).path(), "can't be used");
    open_fails(model(&files, Some(r#"{"y":"a.safetensors"}"#)).path(), "but it does not");
    let twice = [("a.safetensors", "x"), ("b.safetensors", "x")];
    open_fails(model(&twice, None).path(), "is in");
}

/// What must hold of every header that was accepted.
fn consistent(header: &Header) {
    let mut at = header.data_offset;
    for tensor in &header.tensors {
        assert_eq!(tensor.offset, at);
        assert_eq!(tensor.element.tensor_bytes(&tensor.shape), Some(tensor.bytes));
        at += tensor.bytes;
    }
    assert_eq!(at, header.file_bytes);
}

/// The JSON of a well-formed header and the bytes of data that it describes.
fn valid() -> impl Strategy<Value = (String, u64)> {
    let dtypes = prop::sample::select(vec![Dtype::BF16, Dtype::F32, Dtype::F8_E4M3, Dtype::I64]);
    let tensor = (dtypes, prop::collection::vec(0_u64..9, 0..4));
    prop::collection::vec(tensor, 0..12).prop_map(|tensors| {
        let mut at = 0;
        let mut entries = Vec::new();
        for (i, (dtype, shape)) in tensors.into_iter().enumerate() {
            let end = at + Element::from(dtype).tensor_bytes(&shape).unwrap();
            entries.push(format!(
                r#""layer.{i}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{at},{end}]}}"#
            ));
            at = end;
        }
        (format!("{{{}}}", entries.join(",")), at)
    })
}

proptest! {
    #[test]
    fn valid_headers_are_accepted((json, data) in valid()) {
        let header = Header::parse(json.as_bytes(), 8 + json.len() as u64 + data).unwrap();
        consistent(&header);
    }

    #[test]
    fn mutated_headers_are_refused_or_consistent(
        (json, data) in valid(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3), 1..6),
        grow in -4_i64..4,
    ) {
        let mut bytes = json.into_bytes();
        for (at, byte, kind) in edits {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, b"0123456789[]{}\",:"[usize::from(byte) % 17]),
                _ if bytes.len() > 1 => { bytes.remove(at); }
                _ => {}
            }
        }
        let file_bytes = (8 + bytes.len() as u64 + data).saturating_add_signed(grow);
        if let Ok(header) = Header::parse(&bytes, file_bytes) {
            consistent(&header);
        }
    }

    #[test]
    fn random_files_are_refused_or_consistent(bytes in prop::collection::vec(any::<u8>(), 0..64), length in 0_u64..64) {
        let mut file = length.to_le_bytes().to_vec();
        file.extend(&bytes);
        for candidate in [&file, &bytes] {
            if let Ok(header) = read(candidate) {
                consistent(&header);
            }
        }
    }
}
