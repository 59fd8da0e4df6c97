//! Threads of the engine, and a wall around code that may panic on damaged
//! input.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::{Builder, Scope, ScopedJoinHandle, scope};

use crate::error::{Error, Place};

/// Recursion over schemas and nested values has room even in debug builds.
const STACK_BYTES: usize = 16 << 20;

/// Starts a thread of the engine.
pub(crate) fn spawn<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, Error> {
    Builder::new()
        .name(name.to_owned())
        .stack_size(STACK_BYTES)
        .spawn_scoped(scope, work)
        .map_err(|error| Error::Internal(format!("no thread {name} could be started: {error}")))
}

/// The result of a thread of the engine.
pub(crate) fn join<T>(thread: ScopedJoinHandle<'_, T>) -> Result<T, Error> {
    thread
        .join()
        .map_err(|_| Error::Internal("a thread of the engine panicked".to_owned()))
}

/// Runs `work` on a thread of the engine, guarded, and waits for it.
pub(crate) fn on_engine_thread<T: Send>(
    place: Place,
    work: impl FnOnce() -> Result<T, Error> + Send,
) -> Result<T, Error> {
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
    // Nothing that `work` touches is used again after a panic.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        let problem = "the decoder gave up with a panic: the file is damaged";
        Err(Error::bad_input(place, problem).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_bad_input_at_its_place() {
        let place = Place::row_group(3).at_column("fare");
        let result = on_engine_thread::<()>(place, || panic!("secret value"));
        let message = result.unwrap_err().to_string();
        assert_eq!(
            message,
            "row group 3, column \"fare\": the decoder gave up with a panic: the file is damaged"
        );
    }
}
