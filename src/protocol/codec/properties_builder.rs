//! Building a property list from values.

use bytes::Bytes;

use super::primitives::{put_binary, put_bytes, put_text, put_variable};
use super::property_list::{Seen, check_range};
use super::{EncodeError, Properties, PropertyContext, PropertyId, PropertyValue};

/// Builds a list, property by property.
#[derive(Debug)]
pub struct PropertiesBuilder {
    context: PropertyContext,
    encoded: Vec<u8>,
    seen: Seen,
}

impl PropertiesBuilder {
    /// An empty list for a packet, or for a will.
    pub fn new(context: impl Into<PropertyContext>) -> Self {
        Self { context: context.into(), encoded: Vec::new(), seen: Seen::default() }
    }

    /// Appends a property; on an error the list stays as it was.
    pub fn push(
        &mut self,
        id: PropertyId,
        value: PropertyValue<'_>,
    ) -> Result<&mut Self, EncodeError> {
        if value.kind() != id.kind() {
            return Err(EncodeError::PropertyKind(id));
        }
        if !id.is_allowed_in(self.context) {
            return Err(EncodeError::PropertyNotAllowed(id));
        }
        if self.seen.contains(id) && !id.is_repeatable_in(self.context) {
            return Err(EncodeError::PropertyRepeated(id));
        }
        check_range(id, &value).map_err(|_| EncodeError::PropertyValue(id))?;
        let start = self.encoded.len();
        put_bytes(&mut self.encoded, &[id as u8])?;
        if let Err(error) = put_value(&mut self.encoded, id, value) {
            self.encoded.truncate(start);
            return Err(error);
        }
        self.seen.insert(id);
        Ok(self)
    }

    /// The finished list.
    pub fn build(self) -> Properties {
        Properties::from_validated(Bytes::from(self.encoded))
    }
}

fn put_value(
    out: &mut Vec<u8>,
    id: PropertyId,
    value: PropertyValue<'_>,
) -> Result<(), EncodeError> {
    match value {
        PropertyValue::Byte(value) => out.push(value),
        PropertyValue::TwoByte(value) => out.extend_from_slice(&value.to_be_bytes()),
        PropertyValue::FourByte(value) => out.extend_from_slice(&value.to_be_bytes()),
        PropertyValue::VarInt(value) => put_variable(out, value as usize),
        PropertyValue::Binary(data) => put_binary(out, data, id.name())?,
        PropertyValue::Text(text) => put_text(out, text, id.name())?,
        PropertyValue::Pair(name, value) => {
            put_text(out, name, id.name())?;
            put_text(out, value, id.name())?;
        }
    }
    Ok(())
}
