//! How server functions speak: JSON, decoded from text.
//!
//! Leptos decodes answers from bytes and resources from text, which are two readers to serde: every view's decoding would be
//! in the browser's half twice, a tenth of it. Hence `output = Json` at every server function, from here.

use leptos::server_fn::{Bytes, ContentType, Decodes, Encodes, Format, FormatType, codec::Post};
use serde::{Serialize, de::DeserializeOwned};

/// Arguments or an answer as JSON in the body.
pub type Json = Post<JsonText>;

/// JSON that is decoded from text.
pub struct JsonText;

impl ContentType for JsonText {
    const CONTENT_TYPE: &'static str = "application/json";
}

impl FormatType for JsonText {
    const FORMAT_TYPE: Format = Format::Text;
}

impl<T: Serialize> Encodes<T> for JsonText {
    type Error = serde_json::Error;

    fn encode(output: &T) -> Result<Bytes, Self::Error> {
        serde_json::to_vec(output).map(Bytes::from)
    }
}

impl<T: DeserializeOwned> Decodes<T> for JsonText {
    type Error = serde_json::Error;

    fn decode(bytes: Bytes) -> Result<T, Self::Error> {
        // What is no text becomes a fault of the JSON, as it would from bytes.
        serde_json::from_str(&String::from_utf8_lossy(&bytes))
    }
}
