//! What a farmer has much of: a clone of it takes no longer than a clone of anything, because what was copied is the same
//! until one of the two changes it. So whoever begins to record a farm of 100,000 plots does not hold it up.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that is copied when it is changed and somebody else still has it, and not before.
#[derive(Clone, Debug, Default)]
pub(super) struct Shared<T>(Arc<T>);

impl<T: Clone> Shared<T> {
    /// The value, copied if somebody else still has it.
    pub(super) fn into_inner(self) -> T {
        Arc::unwrap_or_clone(self.0)
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<T: Serialize> Serialize for Shared<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Shared<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(|value| Self(Arc::new(value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_the_same_value_until_one_of_the_two_is_changed() {
        let mut value = Shared(Arc::new(vec![1, 2]));
        let clone = value.clone();
        assert!(Arc::ptr_eq(&value.0, &clone.0));
        value.push(3);
        assert_eq!((value.as_slice(), clone.into_inner()), (&[1, 2, 3][..], vec![1, 2]));
        let alone = Arc::as_ptr(&value.0);
        value.clear();
        assert_eq!(alone, Arc::as_ptr(&value.0), "nobody else has it");
    }
}
