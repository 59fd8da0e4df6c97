//! Threads of the engine, and a wall around code that may panic on damaged
//! input.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, Scope, ScopedJoinHandle, scope};

use crate::error::{Error, Place};

/// Recursion over schemas and nested values has room even in debug builds.
const STACK_BYTES: usize = 16 << 20;

/// Schemas up to so many levels, the root among them, are no matter for a
/// thread of one's own: on its share of [`STACK_BYTES`] each level has far more
/// than it takes, and so many shares fit the stack of any thread twice.
const SHALLOW: usize = 8;

thread_local! {
    static HANDLES_VALUES: Cell<bool> = const { Cell::new(false) };
}

/// Whether this thread is at work for the engine, so that the text of a panic on
/// it may quote values of the input. To be asked in a panic hook that writes
/// logs.
#[must_use]
pub fn handles_values() -> bool {
    HANDLES_VALUES.get()
}

/// Says that this thread is at work for the engine until it is dropped.
struct AtWork {
    before: bool,
}

impl AtWork {
    fn begin() -> Self {
        let before = HANDLES_VALUES.replace(true);
        Self { before }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        HANDLES_VALUES.set(self.before);
    }
}

/// How deep a schema is, and so where one may recurse over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Depth(pub(crate) usize);

impl Depth {
    /// Whether any thread's stack will do.
    pub(crate) fn is_shallow(self) -> bool {
        self.0 <= SHALLOW
    }
}

/// Starts a thread of the engine.
pub(crate) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, Error> {
    Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES)
        .spawn_scoped(scope, || {
            let _at_work = AtWork::begin();
            work()
        })
        .map_err(|error| Error::Internal(format!("no thread {name} could be started: {error}")))
}

/// The result of a thread of the engine.
pub(crate) fn join<T>(thread: ScopedJoinHandle<'_, T>) -> Result<T, Error> {
    thread
        .join()
        .map_err(|_| Error::Internal(PANICKED.to_owned()))
}

/// Runs `work`, which recurses over a schema of this depth, guarded: here, or
/// on a thread of the engine if that takes a larger stack.
pub(crate) fn with_stack<T: Send>(
    depth: Depth,
    place: Place,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
    if depth.is_shallow() {
        return guarded(place, work);
    }
    scope(|scope| {
        let thread = spawn(scope, "etl-open", || guarded(place, work))?;
        join(thread)?
    })
}

/// Turns a panic in `work` into an error at `place`.
///
/// The panic's own text is not repeated: it may quote values.
pub(crate) fn guarded<T, E: From<Error>>(
    place: Place,
    work: impl FnOnce() -> Result<T, E>,
) -> Result<T, E> {
    caught(work, || {
        let problem = "the decoder gave up with a panic: the file is damaged";
        Error::bad_input(place, problem)
    })
}

/// Turns a panic in `work`, which no file is to blame for, into an error.
pub(crate) fn contained<T>(
    problem: &str,
    work: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    caught(work, || Error::Internal(problem.to_owned()))
}

/// What is said of a panic on a thread of the engine.
pub(crate) const PANICKED: &str = "a thread of the engine panicked";

fn caught<T, E: From<Error>>(
    work: impl FnOnce() -> Result<T, E>,
    error: impl FnOnce() -> Error,
) -> Result<T, E> {
    let _at_work = AtWork::begin();
    // Nothing that `work` touches is used again after a panic.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(error().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_bad_input_at_its_place() {
        for depth in [1, SHALLOW, SHALLOW + 1] {
            let place = Place::row_group(3).at_column("fare");
            let result = with_stack::<()>(Depth(depth), place, || panic!("secret value"));
            let message = result.unwrap_err().to_string();
            assert_eq!(
                message,
                "row group 3, column \"fare\": the decoder gave up with a panic: the file is \
                 damaged"
            );
        }
    }

    #[test]
    fn a_thread_knows_when_it_handles_values() {
        for depth in [SHALLOW, SHALLOW + 1] {
            let seen = with_stack(Depth(depth), Place::file(), || Ok(handles_values()));
            assert!(seen.unwrap());
            assert!(!handles_values(), "it is over");
        }
        let within = guarded::<_, Error>(Place::file(), || {
            contained(PANICKED, || Ok(()))?;
            Ok(handles_values())
        });
        assert!(within.unwrap(), "the inner end is not the outer one");
    }
}
