//! Our own JSON: the manifest as one document, levels named by code.
//!
//! ```json
//! {
//!   "name": "Small hall",
//!   "focus": { "x": 0, "y": -3 },
//!   "levels": [{ "code": "P1", "name": "Best", "color": "#0072b2" }],
//!   "sections": [
//!     { "code": "ST", "name": "Stalls", "outline": [], "kind": "seated",
//!       "rows": [{ "label": "A", "seats": [
//!         { "label": "1", "x": 0, "y": 0, "level": "P1", "attributes": ["aisle"] }] }] },
//!     { "code": "GA", "name": "Standing", "kind": "area", "level": "P1", "capacity": 200 }
//!   ]
//! }
//! ```
//!
//! `outline` and `attributes` may be left out; unknown and repeated fields are refused. This is
//! also the serde form of [`Manifest`], which is checked when it is deserialized.

mod wire;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::error::{error, tamed};
use super::{MAX_BYTES, Manifest, ManifestErrors};

/// Reads a manifest from our own JSON (UTF-8, at most [`MAX_BYTES`]).
///
/// # Errors
/// A line and character for what isn't JSON or hasn't the right fields; a path such as
/// `sections[3].rows[0].seats[2].level` for what breaks a rule.
pub fn parse(bytes: &[u8]) -> Result<Manifest, ManifestErrors> {
    let wire: wire::ManifestIn = from_bytes(bytes)?;
    wire.into_manifest()
}

/// Writes a manifest as our own JSON; [`parse`] reads back an equal one.
///
/// # Errors
/// Those of [`Manifest::validate`]: what couldn't be read again isn't written.
pub fn to_string(manifest: &Manifest) -> Result<String, ManifestErrors> {
    manifest.validate()?;
    serde_json::to_string(manifest).map_err(|cause| error("manifest", cause.to_string()))
}

/// Deserializes a whole JSON document, with the place of a fault in words.
pub(super) fn from_bytes<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, ManifestErrors> {
    if bytes.len() > MAX_BYTES {
        return Err(error("file", format!("is larger than {MAX_BYTES} bytes")));
    }
    serde_json::from_slice(super::without_byte_order_mark(bytes)).map_err(|cause| {
        let (line, column) = (cause.line(), cause.column());
        let message = cause.to_string();
        let place = format!(" at line {line} column {column}");
        let message = message.strip_suffix(&place).unwrap_or(&message);
        error(format!("line {line}, character {column}"), tamed(message))
    })
}

impl Serialize for Manifest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        wire::ManifestOut::of(self).map_err(ser::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Manifest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        wire::ManifestIn::deserialize(deserializer)?.into_manifest().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests;
