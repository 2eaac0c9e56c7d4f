//! From a function of one lane's values to a function over all lanes.

use crate::ptx::Type;
use crate::ptx::instruction::{Map1, Map2, Map3, Test2};
use std::array::from_fn;
use std::sync::Arc;

pub fn map1(f: impl Fn(u64) -> u64 + Send + Sync + 'static) -> Map1 {
    Arc::new(move |a| from_fn(|i| f(a[i])))
}

pub fn map2(f: impl Fn(u64, u64) -> u64 + Send + Sync + 'static) -> Map2 {
    Arc::new(move |a, b| from_fn(|i| f(a[i], b[i])))
}

pub fn map3(f: impl Fn(u64, u64, u64) -> u64 + Send + Sync + 'static) -> Map3 {
    Arc::new(move |a, b, c| from_fn(|i| f(a[i], b[i], c[i])))
}

pub fn test2(f: impl Fn(u64, u64) -> bool + Send + Sync + 'static) -> Test2 {
    Arc::new(move |a, b| (0..32).fold(0, |mask, i| mask | u32::from(f(a[i], b[i])) << i))
}

/// The low bits of a register as a number, sign-extended for signed types.
pub fn extend(ty: Type, value: u64) -> i128 {
    let unused = 64 - ty.bits().min(64);
    if ty.is_signed() {
        i128::from((value << unused) as i64 >> unused)
    } else {
        i128::from(value << unused >> unused)
    }
}

/// `$body` with `$T` the integer type that `$ty` names and `$U` the unsigned one of its width; `None` for other types.
macro_rules! for_integer {
    ($ty:expr, $T:ident, $U:ident => $body:expr) => {
        for_integer!($ty, $T, $U, $body;
            U16 u16 u16, S16 i16 u16, U32 u32 u32, S32 i32 u32, U64 u64 u64, S64 i64 u64)
    };
    ($ty:expr, $T:ident, $U:ident, $body:expr; $($name:ident $own:ident $unsigned:ident),*) => {
        match $ty {
            $(
                #[allow(
                    clippy::unnecessary_cast,
                    dead_code,
                    reason = "the body may need one of the two, and be u64 itself"
                )]
                Type::$name => {
                    type $T = $own;
                    type $U = $unsigned;
                    Some($body)
                }
            )*
            _ => None,
        }
    };
}
pub(crate) use for_integer;
