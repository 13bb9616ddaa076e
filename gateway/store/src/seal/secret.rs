//! A value that is not printed, not written out, and not left behind in memory.

use zeroize::Zeroize;

/// A secret. It has no `Debug`, no `Display`, no `Serialize` and no `Clone`, so that none can get
/// into a log, an answer or a document by carelessness; its memory is overwritten when it is
/// dropped. Whoever needs the value says so with [`expose`](Secret::expose).
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value. Do not keep a copy of it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
