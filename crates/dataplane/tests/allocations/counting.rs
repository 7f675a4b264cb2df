//! Counts what the workers take from the allocator and give back, whoever asks for it: this program, the standard
//! library, or the C code of the ciphers.
//!
//! glibc lets a program bring its own `malloc`; this one counts and passes every call on to glibc's. Rust's allocator
//! and AWS-LC both end here. Threads other than the workers (load, the test itself, the harness) are not counted.

use std::{
    backtrace::Backtrace,
    cell::Cell,
    ffi::{c_int, c_void},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

/// What the workers did during a measurement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Calls that took memory, or more of it.
    pub(crate) taken: usize,
    /// Calls that gave memory back.
    pub(crate) given_back: usize,
    /// Where the first of them came from.
    pub(crate) first: Option<String>,
}

static COUNTING: AtomicBool = AtomicBool::new(false);
static TAKEN: AtomicUsize = AtomicUsize::new(0);
static GIVEN_BACK: AtomicUsize = AtomicUsize::new(0);
static FIRST: Mutex<Option<String>> = Mutex::new(None);

/// One measurement at a time, and one plane: the workers of another test must not be counted.
static ALONE: Mutex<()> = Mutex::new(());

thread_local! {
    /// Whether this thread is a worker; not known before its first call during a measurement.
    static WORKER: Cell<Option<bool>> = const { Cell::new(None) };
    /// This thread is busy with [`note`], which allocates itself.
    static NOTING: Cell<bool> = const { Cell::new(false) };
}

/// Runs `test` while no other test of this binary does.
pub(crate) fn alone(test: impl FnOnce()) {
    // Another test's failure is its own.
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    test();
}

/// What the workers take and give back while `work` runs.
pub(crate) fn during(work: impl FnOnce()) -> Count {
    *FIRST.lock().unwrap() = None;
    let before = (TAKEN.load(SeqCst), GIVEN_BACK.load(SeqCst));
    COUNTING.store(true, SeqCst);
    work();
    COUNTING.store(false, SeqCst);
    let first = FIRST.lock().unwrap().take();
    Count { taken: TAKEN.load(SeqCst) - before.0, given_back: GIVEN_BACK.load(SeqCst) - before.1, first }
}

fn note(counter: &AtomicUsize, what: &str, bytes: usize) {
    if !COUNTING.load(SeqCst) || NOTING.get() {
        return;
    }
    NOTING.set(true);
    if is_worker() && counter.fetch_add(1, SeqCst) < usize::MAX {
        let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| format!("{what}, {bytes} bytes:\n{}", Backtrace::force_capture()));
    }
    NOTING.set(false);
}

fn is_worker() -> bool {
    WORKER.get().unwrap_or_else(|| {
        let is_worker = thread::current().name().is_some_and(|name| name.starts_with("meshtun-w"));
        WORKER.set(Some(is_worker));
        is_worker
    })
}

unsafe extern "C" {
    fn __libc_malloc(size: usize) -> *mut c_void;
    fn __libc_calloc(count: usize, size: usize) -> *mut c_void;
    fn __libc_realloc(pointer: *mut c_void, size: usize) -> *mut c_void;
    fn __libc_memalign(alignment: usize, size: usize) -> *mut c_void;
    fn __libc_free(pointer: *mut c_void);
}

// SAFETY, for all below: each has the name, signature and contract of the C function, and passes the call on unchanged
// to glibc's own. Counting neither unwinds nor comes here again: what it allocates is not counted.

#[unsafe(no_mangle)]
unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    note(&TAKEN, "malloc", size);
    // SAFETY: see above.
    unsafe { __libc_malloc(size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn calloc(count: usize, size: usize) -> *mut c_void {
    note(&TAKEN, "calloc", count.saturating_mul(size));
    // SAFETY: see above.
    unsafe { __libc_calloc(count, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn realloc(pointer: *mut c_void, size: usize) -> *mut c_void {
    note(&TAKEN, "realloc", size);
    // SAFETY: see above.
    unsafe { __libc_realloc(pointer, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
    note(&TAKEN, "aligned_alloc", size);
    // SAFETY: see above.
    unsafe { __libc_memalign(alignment, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memalign(alignment: usize, size: usize) -> *mut c_void {
    note(&TAKEN, "memalign", size);
    // SAFETY: see above.
    unsafe { __libc_memalign(alignment, size) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn posix_memalign(out: *mut *mut c_void, alignment: usize, size: usize) -> c_int {
    /// ENOMEM, on Linux.
    const NO_MEMORY: c_int = 12;
    note(&TAKEN, "posix_memalign", size);
    // SAFETY: see above; `out` is valid by the contract of `posix_memalign`. An alignment that is no power of two is
    // rounded up, where C's function refuses it: Rust asks for none.
    unsafe {
        let memory = __libc_memalign(alignment, size);
        if memory.is_null() {
            return NO_MEMORY;
        }
        *out = memory;
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn free(pointer: *mut c_void) {
    if !pointer.is_null() {
        note(&GIVEN_BACK, "free", 0);
    }
    // SAFETY: see above.
    unsafe { __libc_free(pointer) }
}
