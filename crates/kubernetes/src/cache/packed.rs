//! A value in one piece: what is read once in half a minute need not lie about as a hundred small texts.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A value as its JSON, half the weight of its parts.
pub(crate) struct Packed<T> {
    json: Box<str>,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Packed<T> {
    /// Packs a value; `None`: it cannot be JSON.
    pub(crate) fn new(value: &T) -> Option<Self> {
        let json = serde_json::to_string(value).ok()?.into();
        Some(Self {
            json,
            of: PhantomData,
        })
    }

    /// The value again. It was packed here, so that it can always be had.
    pub(crate) fn value(&self) -> Option<T> {
        serde_json::from_str(&self.json).ok()
    }
}
