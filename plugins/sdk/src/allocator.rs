//! The allocator of plugins built with this SDK.
//!
//! Every text of a conversation is a piece of memory of its own, so that a transform
//! spends most of its time in the allocator. This one keeps a list of free pieces for each
//! size and takes new ones from the end of memory, which takes a fraction of what the
//! standard one takes. It never joins pieces: a call's memory is thrown away after it, and
//! no call lives long enough for that to matter.

#![allow(unsafe_code, reason = "an allocator hands out memory")]

use core::alloc::Layout;
use core::ptr::null_mut;

/// Sizes are multiples of this, and so are addresses. 16: what any type needs.
const STEP: usize = 16;

/// The number of multiples of [`STEP`] that have a list of their own; larger pieces are
/// powers of two.
const SMALL: usize = 32;

const LISTS: usize = SMALL + 1 + usize::BITS as usize;

/// Where memory comes from.
pub(crate) trait Source {
    /// Memory of at least `size` bytes, which may go on where the last one ended: where it
    /// starts and ends. None where there is no more.
    fn more(&mut self, size: usize) -> Option<(*mut u8, usize)>;
}

/// Pieces of memory, free and in use.
pub(crate) struct Heap<S> {
    source: S,
    /// The first free piece of each size; its first word points to the next.
    free: [*mut u8; LISTS],
    /// What was never handed out.
    next: *mut u8,
    left: usize,
}

/// The list for pieces of at least `size` bytes, and their size.
#[inline]
fn list(size: usize) -> (usize, usize) {
    if size <= SMALL * STEP {
        let steps = size.div_ceil(STEP);
        (steps, steps * STEP)
    } else {
        let bits = usize::BITS - (size - 1).leading_zeros();
        // A size of more than half of all addresses is refused before.
        (SMALL + 1 + bits as usize, 1 << bits)
    }
}

impl<S: Source> Heap<S> {
    pub(crate) const fn new(source: S) -> Self {
        Self { source, free: [null_mut(); LISTS], next: null_mut(), left: 0 }
    }

    /// # Safety
    /// As [`core::alloc::GlobalAlloc::alloc`].
    #[inline]
    pub(crate) unsafe fn alloc(&mut self, layout: Layout) -> *mut u8 {
        if layout.align() > STEP || layout.size() > isize::MAX as usize / 2 {
            return self.aligned(layout);
        }
        let (list, size) = list(layout.size());
        let piece = self.free[list];
        if piece.is_null() {
            return self.fresh(size);
        }
        // SAFETY: a free piece belongs to the heap, has room for a word and is aligned for
        // one; `dealloc` wrote it.
        self.free[list] = unsafe { piece.cast::<*mut u8>().read() };
        piece
    }

    /// # Safety
    /// As [`core::alloc::GlobalAlloc::dealloc`].
    #[inline]
    pub(crate) unsafe fn dealloc(&mut self, piece: *mut u8, layout: Layout) {
        if layout.align() > STEP {
            // Rare, and then seldom freed: not used again.
            return;
        }
        let (list, _) = list(layout.size());
        // SAFETY: the caller gives the piece back, which has at least `STEP` bytes; a size
        // of 0 is not allocated.
        unsafe { piece.cast::<*mut u8>().write(self.free[list]) };
        self.free[list] = piece;
    }

    /// # Safety
    /// As [`core::alloc::GlobalAlloc::realloc`].
    #[inline]
    pub(crate) unsafe fn realloc(&mut self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let (before, had) = list(layout.size());
        if layout.align() <= STEP && size <= isize::MAX as usize / 2 {
            let (after, needed) = list(size);
            if before == after {
                return piece;
            }
            // The last piece grows where it is.
            let last = piece.wrapping_add(had) == self.next;
            if last && needed > had && needed - had <= self.left {
                self.next = self.next.wrapping_add(needed - had);
                self.left -= needed - had;
                return piece;
            }
        }
        // SAFETY: the size is not 0 and the alignment is the old one.
        let layout_after = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: as for this function; both pieces have so many bytes and differ.
        unsafe {
            let moved = self.alloc(layout_after);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(piece, layout.size().min(size));
                self.dealloc(piece, layout);
            }
            moved
        }
    }

    /// A piece that was never handed out.
    #[inline]
    fn fresh(&mut self, size: usize) -> *mut u8 {
        if size > self.left && !self.refill(size) {
            return null_mut();
        }
        let piece = self.next;
        self.next = self.next.wrapping_add(size);
        self.left -= size;
        piece
    }

    #[cold]
    fn refill(&mut self, size: usize) -> bool {
        // Room to align the first piece, where memory does not go on.
        let Some((start, length)) = self.source.more(size + STEP) else { return false };
        if start == self.next.wrapping_add(self.left) {
            self.left += length;
        } else {
            let skipped = start.align_offset(STEP);
            self.next = start.wrapping_add(skipped);
            self.left = length - skipped;
        }
        true
    }

    #[cold]
    fn aligned(&mut self, layout: Layout) -> *mut u8 {
        let align = layout.align().max(STEP);
        let Some(size) = layout.size().checked_add(align).map(|size| size.next_multiple_of(STEP)) else {
            return null_mut();
        };
        let piece = self.fresh(size);
        if piece.is_null() { piece } else { piece.wrapping_add(piece.align_offset(align)) }
    }
}

#[cfg(target_arch = "wasm32")]
mod global {
    use super::{Heap, Source};
    use core::alloc::{GlobalAlloc, Layout};
    use core::cell::UnsafeCell;

    /// Bytes of a page of memory.
    const PAGE: usize = 64 << 10;

    /// Pages that memory grows by without being asked for so many.
    const MOST_AHEAD: usize = 16;

    /// The memory that the linker left over, then more from the host.
    struct Memory {
        begun: bool,
    }

    unsafe extern "C" {
        /// Where the linker's own data ends.
        static __heap_base: u8;
    }

    impl Source for Memory {
        fn more(&mut self, size: usize) -> Option<(*mut u8, usize)> {
            if !self.begun {
                self.begun = true;
                let start = (&raw const __heap_base).cast_mut();
                let left = (core::arch::wasm32::memory_size::<0>() * PAGE).checked_sub(start.addr())?;
                if left >= size {
                    return Some((start, left));
                }
            }
            // By half of what there is, since growing is slow, but not by more than 1 MiB,
            // since the host bounds the whole.
            let half = core::arch::wasm32::memory_size::<0>() / 2;
            let pages = size.div_ceil(PAGE).max(half.min(MOST_AHEAD));
            let before = core::arch::wasm32::memory_grow::<0>(pages);
            // Memory that was there before belongs to whoever asked for it.
            (before != usize::MAX)
                .then(|| (core::ptr::with_exposed_provenance_mut(before * PAGE), pages * PAGE))
        }
    }

    struct Global(UnsafeCell<Heap<Memory>>);

    // SAFETY: a plugin has one thread; with threads this module is left out.
    unsafe impl Sync for Global {}

    #[global_allocator]
    static GLOBAL: Global = Global(UnsafeCell::new(Heap::new(Memory { begun: false })));

    // SAFETY: pieces are of the size and alignment that is asked for, and none is handed out
    // twice. Nothing in `Heap` allocates, so that it is not entered a second time.
    unsafe impl GlobalAlloc for Global {
        #[inline]
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: see `Sync`; the caller's promises are passed on.
            unsafe { (*self.0.get()).alloc(layout) }
        }

        #[inline]
        unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
            // SAFETY: as above.
            unsafe { (*self.0.get()).dealloc(piece, layout) }
        }

        #[inline]
        unsafe fn realloc(&self, piece: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            // SAFETY: as above.
            unsafe { (*self.0.get()).realloc(piece, layout, size) }
        }
    }

    /// What the canonical ABI asks for memory for each text that comes in. The bindings
    /// have one that does the same, which takes three calls to get to the allocator; the
    /// linker leaves it out, since its symbol is weak.
    ///
    /// # Safety
    /// `piece` is null with `length` 0, or was handed out with this length and alignment.
    #[unsafe(no_mangle)]
    unsafe extern "C" fn cabi_realloc(piece: *mut u8, length: usize, align: usize, size: usize) -> *mut u8 {
        if size == 0 {
            return core::ptr::without_provenance_mut(align);
        }
        // SAFETY: see `Sync`; the alignment is a power of two, as the canonical ABI has it,
        // and no size is 0.
        let given = unsafe {
            let heap = &mut *GLOBAL.0.get();
            if length == 0 {
                heap.alloc(Layout::from_size_align_unchecked(size, align))
            } else {
                heap.realloc(piece, Layout::from_size_align_unchecked(length, align), size)
            }
        };
        if given.is_null() {
            core::arch::wasm32::unreachable();
        }
        given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces of one array, some of which do not go on where the last one ended.
    struct Pool {
        memory: Vec<u128>,
        at: usize,
    }

    impl Source for Pool {
        fn more(&mut self, size: usize) -> Option<(*mut u8, usize)> {
            if self.at.is_multiple_of(3) {
                self.at += 1;
            }
            let words = size.div_ceil(16) + 64;
            let start = self.at;
            self.at += words;
            let memory = self.memory.get_mut(start..self.at)?;
            Some((memory.as_mut_ptr().cast(), words * 16))
        }
    }

    /// A random sequence of what callers do: no piece overlaps another, each is aligned,
    /// and keeps what was written to it.
    #[test]
    fn allocations_are_disjoint_aligned_and_intact() {
        let mut heap = Heap::new(Pool { memory: vec![0; 1 << 16], at: 0 });
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = move |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % below as u64) as usize
        };
        let mut held: Vec<(*mut u8, Layout, u8)> = Vec::new();
        let holds = |&(piece, layout, mark): &(*mut u8, Layout, u8)| {
            // SAFETY: the test holds the piece.
            let bytes = unsafe { core::slice::from_raw_parts(piece, layout.size()) };
            bytes.iter().all(|&byte| byte == mark) && piece.addr().is_multiple_of(layout.align())
        };
        for turn in 0..20_000 {
            let mark = turn as u8;
            let size = 1 + next([40, 300, 5_000][turn % 3]);
            if held.len() < 40 && next(3) > 0 {
                let Ok(layout) = Layout::from_size_align(size, 1 << next(if turn % 50 == 0 { 7 } else { 5 }))
                else {
                    continue;
                };
                // SAFETY: the size is not 0.
                let piece = unsafe { heap.alloc(layout) };
                if !piece.is_null() {
                    // SAFETY: it was just handed out.
                    unsafe { piece.write_bytes(mark, size) };
                    held.push((piece, layout, mark));
                }
            } else if !held.is_empty() {
                let (piece, layout, old) = held.swap_remove(next(held.len()));
                assert!(holds(&(piece, layout, old)));
                if next(2) == 0 {
                    // SAFETY: it was handed out with this layout.
                    unsafe { heap.dealloc(piece, layout) };
                    continue;
                }
                // SAFETY: as above, and the new size is not 0.
                let moved = unsafe { heap.realloc(piece, layout, size) };
                if moved.is_null() {
                    held.push((piece, layout, old));
                    continue;
                }
                // SAFETY: the test holds the piece.
                let kept = unsafe { core::slice::from_raw_parts(moved, size.min(layout.size())) };
                assert!(kept.iter().all(|&byte| byte == old));
                // SAFETY: as above.
                unsafe { moved.write_bytes(mark, size) };
                if let Ok(layout) = Layout::from_size_align(size, layout.align()) {
                    held.push((moved, layout, mark));
                }
            }
            if turn % 100 == 0 {
                assert!(held.iter().all(holds));
            }
        }
    }

    #[test]
    fn what_is_given_back_is_used_again() {
        let mut heap = Heap::new(Pool { memory: vec![0; 1 << 10], at: 0 });
        for size in [1, 16, 17, 500, 512, 513, 4_000] {
            let Ok(layout) = Layout::from_size_align(size, 8) else { continue };
            // SAFETY: the size is not 0, and each piece is given back as it was handed out.
            unsafe {
                let first = heap.alloc(layout);
                assert!(!first.is_null());
                for _ in 0..1_000 {
                    heap.dealloc(first, layout);
                    assert_eq!(heap.alloc(layout), first);
                }
                assert_eq!(heap.realloc(first, layout, size), first);
            }
        }
        let Ok(huge) = Layout::from_size_align(isize::MAX as usize - 64, 8) else { return };
        // SAFETY: the size is not 0.
        assert!(unsafe { heap.alloc(huge) }.is_null());
    }
}
