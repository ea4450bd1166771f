//! MIMI content as CBOR arrays (draft-ietf-mimi-content-08, appendix "CDDL").

use ciborium::Value;

use super::{Content, ContentId, Disposition, Expiration, Meaning, NestedPart, PartBody};

/// Deepest nesting of parts (draft §6.3 recommends a bound of 4).
const MAX_PART_DEPTH: usize = 4;
/// Deepest nesting of any CBOR value.
const MAX_CBOR_DEPTH: usize = 32;

/// Why bytes are no MIMI content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no MIMI content: {0}")]
pub struct ContentFault(pub &'static str);

pub(super) fn write(content: &Content) -> Vec<u8> {
    let id = |id: &Option<ContentId>| id.map_or(Value::Null, |id| Value::Bytes(id.0.to_vec()));
    let expires = content.expires.map_or(Value::Null, |e| {
        Value::Array(vec![Value::Bool(e.relative), e.time_s.into()])
    });
    let value = Value::Array(vec![
        Value::Bytes(content.salt.to_vec()),
        id(&content.replaces),
        Value::Bytes(content.topic_id.clone()),
        expires,
        id(&content.in_reply_to),
        Value::Map(content.extensions.clone()),
        write_part(&content.part),
    ]);
    let mut bytes = Vec::new();
    ciborium::into_writer(&value, &mut bytes).expect("writing to memory cannot fail");
    bytes
}

fn write_part(part: &NestedPart) -> Value {
    let mut members = vec![part.disposition.0.into(), part.language.clone().into()];
    match &part.body {
        PartBody::Null => members.push(0.into()),
        PartBody::Single {
            content_type,
            content,
        } => members.extend([
            1.into(),
            content_type.clone().into(),
            Value::Bytes(content.clone()),
        ]),
        PartBody::External(rest) => {
            members.push(2.into());
            members.extend(rest.iter().cloned());
        }
        PartBody::Multi { semantics, parts } => members.extend([
            3.into(),
            (*semantics).into(),
            Value::Array(parts.iter().map(write_part).collect()),
        ]),
    }
    Value::Array(members)
}

pub(super) fn read(bytes: &[u8]) -> Result<Content, ContentFault> {
    let mut rest = bytes;
    let value: Value = ciborium::de::from_reader_with_recursion_limit(&mut rest, MAX_CBOR_DEPTH)
        .map_err(|_| ContentFault("not CBOR"))?;
    if !rest.is_empty() {
        return Err(ContentFault("bytes follow the content"));
    }
    let members = value
        .into_array()
        .map_err(|_| ContentFault("not an array"))?;
    let [
        salt,
        replaces,
        topic_id,
        expires,
        in_reply_to,
        extensions,
        part,
    ] = <[Value; 7]>::try_from(members).map_err(|_| ContentFault("not an array of seven"))?;
    Ok(Content {
        salt: salt
            .into_bytes()
            .ok()
            .and_then(|salt| salt.try_into().ok())
            .ok_or(ContentFault("the salt is not 16 bytes"))?,
        replaces: read_id(replaces)?,
        topic_id: topic_id
            .into_bytes()
            .map_err(|_| ContentFault("the topic is not bytes"))?,
        expires: read_expiration(expires)?,
        in_reply_to: read_id(in_reply_to)?,
        extensions: extensions
            .into_map()
            .map_err(|_| ContentFault("the extensions are not a map"))?,
        part: read_part(part, 0)?,
    })
}

fn read_id(value: Value) -> Result<Option<ContentId>, ContentFault> {
    if value.is_null() {
        return Ok(None);
    }
    value
        .into_bytes()
        .ok()
        .and_then(|id| id.try_into().ok())
        .map(|id| Some(ContentId(id)))
        .ok_or(ContentFault("a message id is not 32 bytes"))
}

fn read_expiration(value: Value) -> Result<Option<Expiration>, ContentFault> {
    if value.is_null() {
        return Ok(None);
    }
    let members = value.into_array().unwrap_or_default();
    match members.as_slice() {
        [Value::Bool(relative), Value::Integer(time)] => Ok(Some(Expiration {
            relative: *relative,
            time_s: u32::try_from(*time).map_err(|_| ContentFault("the expiry is out of range"))?,
        })),
        _ => Err(ContentFault("the expiry is not [relative, time]")),
    }
}

fn read_part(value: Value, depth: usize) -> Result<NestedPart, ContentFault> {
    if depth > MAX_PART_DEPTH {
        return Err(ContentFault("parts are nested too deeply"));
    }
    let members = value
        .into_array()
        .map_err(|_| ContentFault("a part is not an array"))?;
    let mut members = members.into_iter();
    let mut next = || members.next().ok_or(ContentFault("a part is too short"));
    let disposition = Disposition(small(&next()?, "the disposition")?);
    let language = next()?
        .into_text()
        .map_err(|_| ContentFault("the language is not text"))?;
    let cardinality = small(&next()?, "the cardinality")?;
    let body = match cardinality {
        0 => PartBody::Null,
        1 => PartBody::Single {
            content_type: next()?
                .into_text()
                .map_err(|_| ContentFault("the content type is not text"))?,
            content: next()?
                .into_bytes()
                .map_err(|_| ContentFault("the content is not bytes"))?,
        },
        2 => PartBody::External(members.by_ref().collect()),
        3 => PartBody::Multi {
            semantics: small(&next()?, "the part semantics")?,
            parts: read_parts(next()?, depth)?,
        },
        _ => return Err(ContentFault("the cardinality is not known")),
    };
    if members.next().is_some() {
        return Err(ContentFault("a part is too long"));
    }
    Ok(NestedPart {
        disposition,
        language,
        body,
    })
}

fn read_parts(value: Value, depth: usize) -> Result<Vec<NestedPart>, ContentFault> {
    let parts = value
        .into_array()
        .map_err(|_| ContentFault("the parts are not an array"))?;
    if parts.len() < 2 {
        return Err(ContentFault("several parts are fewer than two"));
    }
    parts
        .into_iter()
        .map(|part| read_part(part, depth + 1))
        .collect()
}

fn small(value: &Value, what: &'static str) -> Result<u8, ContentFault> {
    value
        .as_integer()
        .and_then(|number| u8::try_from(number).ok())
        .ok_or(ContentFault(what))
}

/// Escapes a text as a JSON string.
pub(super) fn json_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Reads a room profile.
pub(super) fn profile(text: &str) -> Option<Meaning> {
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let member = |name: &str| json.get(name).and_then(|v| v.as_str()).map(str::to_owned);
    Some(Meaning::RoomProfile {
        name: member("name")?,
        topic: member("topic").unwrap_or_default(),
    })
}
