//! Reports: what a run tells a person.
//!
//! [`model`] turns a run into a [`model::Report`] and [`findings`] ranks what is worth looking at;
//! both are pure. [`terminal`] and [`json`] draw the result, [`draw`] its pictures. [`quantity`] decides how a number reads.

pub mod draw;
pub mod findings;
#[cfg(test)]
pub use crate::record::fixture;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod model;
pub mod plot;
pub mod quantity;
pub mod terminal;
