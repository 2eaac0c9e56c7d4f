use proptest::prelude::*;

use super::*;

/// A GGUF file under construction.
struct File3(Vec<u8>);

impl File3 {
    fn new(tensors: u64, pairs: u64) -> Self {
        let mut file = Self(b"GGUF".to_vec());
        file.0.extend(3_u32.to_le_bytes());
        file.0.extend(tensors.to_le_bytes());
        file.0.extend(pairs.to_le_bytes());
        file
    }
    fn string(mut self, text: &str) -> Self {
        self.0.extend((text.len() as u64).to_le_bytes());
        self.0.extend(text.as_bytes());
        self
    }
    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
    fn u32(self, value: u32) -> Self {
        self.raw(&value.to_le_bytes())
    }
    fn u64(self, value: u64) -> Self {
        self.raw(&value.to_le_bytes())
    }
    fn alignment(self, value: u32) -> Self {
        self.string("general.alignment").u32(4).u32(value)
    }
    fn tensor(self, name: &str, dims: &[u64], kind: u32, offset: u64) -> Self {
        let file = self.string(name).u32(dims.len() as u32);
        dims.iter().fold(file, |file, &dim| file.u64(dim)).u32(kind).u64(offset)
    }
    fn data(mut self, alignment: usize, bytes: usize) -> Vec<u8> {
        self.0.resize(self.0.len().next_multiple_of(alignment) + bytes, 9);
        self.0
    }
}

fn parsed(bytes: &[u8]) -> Result<Header, String> {
    parse(bytes, bytes.len() as u64).map_err(|fault| match fault {
        Fault::Malformed(what) => what,
        Fault::Io(e) => e.to_string(),
    })
}

#[track_caller]
fn refused(bytes: &[u8], part: &str) {
    let what = parsed(bytes).unwrap_err();
    assert!(what.contains(part), "{what:?} lacks {part:?}");
}

#[test]
fn a_valid_file_gives_absolute_offsets() {
    let file = File3::new(2, 4)
        .string("general.name")
        .u32(8)
        .string("tiny")
        .alignment(64)
        .string("tokens")
        .u32(9)
        .u32(8)
        .u64(2)
        .string("a")
        .string("b")
        .string("nested")
        .u32(9)
        .u32(9)
        .u64(1)
        .u32(0)
        .u64(3)
        .raw(b"xyz")
        .tensor("blk.0.ffn_gate_exps.weight", &[256, 3, 2], 12, 0)
        .tensor("norm", &[5], 0, 896)
        .data(64, 896 + 20);
    let header = parsed(&file).unwrap();
    assert_eq!(header.data_offset % 64, 0);
    assert_eq!(header.data_offset + 916, file.len() as u64);
    let [experts, norm] = &header.tensors[..] else { panic!("two tensors") };
    assert_eq!((experts.shape.as_slice(), experts.bytes), (&[2, 3, 256][..], 6 * 144));
    assert_eq!((norm.offset, norm.bytes), (header.data_offset + 896, 20));
}

#[test]
fn hostile_files_are_refused_by_name_of_the_fault() {
    refused(b"", "asks for 4 bytes");
    refused(b"GGML\x03\0\0\0", "does not start with GGUF");
    refused(b"GGUF\0\0\0\x03", "version");
    refused(&File3::new(u64::MAX, 0).0, "claims");
    refused(&File3::new(0, u64::MAX).0, "asks for");
    refused(&File3::new(0, 1).u64(u64::MAX).0, "asks for");
    refused(&File3::new(0, 1).string("k").u32(9).u32(0).u64(u64::MAX).0, "asks for");
    refused(&File3::new(0, 1).string("k").u32(9).u32(8).u64(u64::MAX).0, "asks for");
    refused(&File3::new(0, 1).string("k").u32(99).0, "unknown type");
    let nested = (0..9).fold(File3::new(0, 1).string("k").u32(9), |f, _| f.u32(9).u64(1));
    refused(&nested.0, "unknown type 9");
    refused(&File3::new(0, 1).alignment(12).0, "multiple of 8");
    refused(&File3::new(0, 1).alignment(0).0, "multiple of 8");
    let one = |dims: &[u64], kind, offset| File3::new(1, 0).tensor("t", dims, kind, offset);
    refused(&one(&[32], 0, 0).data(32, 127), "truncated");
    refused(&one(&[32], 0, 32).data(32, 256), "hole of 32");
    refused(&one(&[32], 0, 8).data(32, 256), "multiple of 32");
    refused(&one(&[32], 0, u64::MAX - 31).data(32, 256), "hole");
    refused(&one(&[33], 2, 0).data(32, 256), "not a number of Q4_0 blocks");
    refused(&one(&[u64::MAX, u64::MAX], 0, 0).data(32, 256), "not a number of F32");
    refused(&one(&[1; 5], 0, 0).data(32, 256), "5 dimensions");
    refused(&one(&[1], 4, 0).data(32, 256), "unknown type 4");
    let two = |a: &str, b: &str, second| {
        File3::new(2, 0).tensor(a, &[16], 0, 0).tensor(b, &[16], 0, second).data(32, 128)
    };
    refused(&two("a", "a", 64), "twice");
    refused(&two("a", "b", 32), "overlaps");
    assert!(parsed(&two("a", "b", 64)).is_ok());
}

proptest! {
    #[test]
    fn mutated_files_are_refused_or_consistent(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = File3::new(3, 2)
            .alignment(32)
            .string("k").u32(9).u32(5).u64(3).raw(&[1; 12])
            .tensor("a", &[64, 2], 8, 0)
            .tensor("b", &[16], 0, 160)
            .tensor("c", &[3], 24, 224)
            .data(32, 227);
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            if let Ok(header) = parsed(bytes) {
                let mut end = header.data_offset;
                for tensor in &header.tensors {
                    prop_assert!(tensor.offset >= end);
                    end = tensor.offset + tensor.bytes;
                }
                prop_assert!(end <= bytes.len() as u64 || header.tensors.is_empty());
            }
        }
    }
}
