//! Counts what is allocated, to show that no input makes us allocate more than a multiple of its length.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Most bytes in use at any time during `work`, besides what was in use before. Of this thread only.
pub fn peak_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = IN_USE.get();
    PEAK.set(before);
    let result = work();
    (PEAK.get().saturating_sub(before), result)
}

/// Does `work` on an input of this length, and panics if it takes more memory than that allows.
pub fn assert_bounded<T>(input: usize, work: impl FnOnce() -> T) {
    let (peak, _) = peak_of(work);
    assert!(
        peak <= input * PER_BYTE + FIXED,
        "{peak} bytes allocated for an input of {input}"
    );
}

/// The worst item is an absent option in a list: one byte on the wire, 32 in memory. A growing list is copied into one
/// of twice the size, so that up to three times the items are there at once.
const PER_BYTE: usize = 3 * 32;

/// Boxes around large messages.
const FIXED: usize = 2048;

struct Counting;

thread_local! {
    static IN_USE: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on unchanged to the system's allocator; the counters allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let in_use = IN_USE.get().saturating_add(layout.size());
        IN_USE.set(in_use);
        PEAK.set(PEAK.get().max(in_use));
        // SAFETY: the caller's promises are those this call needs.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.set(IN_USE.get().saturating_sub(layout.size()));
        // SAFETY: as above, and `pointer` came from `alloc`, which is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
