//! Settings and surroundings known to hurt.
use super::{Facts, Found};
pub(super) fn busy(_: &Facts<'_>) -> Option<Found> {
    None
}
pub(super) fn governor(_: &Facts<'_>) -> Option<Found> {
    None
}
pub(super) fn cpu_quota(_: &Facts<'_>) -> Option<Found> {
    None
}
pub(super) fn clocksource(_: &Facts<'_>) -> Option<Found> {
    None
}
pub(super) fn huge_pages(_: &Facts<'_>) -> Option<Found> {
    None
}
pub(super) fn numa_balancing(_: &Facts<'_>) -> Option<Found> {
    None
}
pub(super) fn io_scheduler(_: &Facts<'_>) -> Option<Found> {
    None
}
pub(super) fn load_before(_: &Facts<'_>) -> Option<String> {
    None
}
