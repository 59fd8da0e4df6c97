//! Metrics with labels from closed lists.

use std::fmt;

use prometheus_client::metrics::family::Family;

/// Metrics that differ in the values of `N` labels.
pub struct Labelled<M, const N: usize> {
    names: [&'static str; N],
    family: LabelledFamily<M, N>,
}

/// What the registry holds of it.
pub(super) type LabelledFamily<M, const N: usize> =
    Family<[(&'static str, &'static str); N], M, fn() -> M>;

impl<M: Clone, const N: usize> Labelled<M, N> {
    pub(super) fn new(names: [&'static str; N], make: fn() -> M) -> Self {
        Labelled {
            names,
            family: Family::new_with_constructor(make),
        }
    }

    pub(super) fn family(&self) -> LabelledFamily<M, N> {
        self.family.clone()
    }

    /// The one with these values, in the order of the labels.
    pub fn with(&self, values: [&'static str; N]) -> M {
        let mut labels = [("", ""); N];
        for (label, pair) in labels.iter_mut().zip(self.names.into_iter().zip(values)) {
            *label = pair;
        }
        self.family.get_or_create_owned(&labels)
    }
}

impl<M, const N: usize> Clone for Labelled<M, N> {
    fn clone(&self) -> Self {
        Labelled {
            names: self.names,
            family: self.family.clone(),
        }
    }
}

impl<M, const N: usize> fmt::Debug for Labelled<M, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Labelled").field(&self.names).finish()
    }
}
