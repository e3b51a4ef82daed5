//! Memory: what is on the heap, counted by the allocator, and what is resident, as the kernel says.

use std::fs;

use crate::HEAP;

/// Bytes on the heap now.
pub fn heap() -> f64 {
    HEAP.allocated() as f64
}

/// The most bytes that were on the heap.
pub fn heap_peak() -> f64 {
    HEAP.max_allocated() as f64
}

/// Bytes that are resident now.
pub fn resident() -> f64 {
    kib("VmRSS:") * 1024.0
}

/// The most bytes that were resident.
pub fn resident_peak() -> f64 {
    kib("VmHWM:") * 1024.0
}

fn kib(field: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|line| line.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0.0)
}
