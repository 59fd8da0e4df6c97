//! Metadata taken apart and put together again, with whatever lies in between:
//! Thrift's compact encoding without any meaning of the fields.

#![allow(dead_code, reason = "each test binary uses its own part")]

/// A value with everything needed to write the same bytes again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Byte(u8),
    /// The wire type (4, 5 or 6) and the number.
    Integer(u8, i64),
    Double([u8; 8]),
    Binary(Vec<u8>),
    /// The wire type of the items, and the items.
    List(u8, Vec<Value>),
    Struct(Vec<(i64, Value)>),
}

pub(crate) fn i32(value: i64) -> Value {
    Value::Integer(5, value)
}

pub(crate) fn i64(value: i64) -> Value {
    Value::Integer(6, value)
}

pub(crate) fn binary(bytes: impl Into<Vec<u8>>) -> Value {
    Value::Binary(bytes.into())
}

pub(crate) fn structure(fields: impl IntoIterator<Item = (i64, Value)>) -> Value {
    Value::Struct(fields.into_iter().collect())
}

pub(crate) fn structures(items: impl IntoIterator<Item = Value>) -> Value {
    Value::List(12, items.into_iter().collect())
}

impl Value {
    /// Reads one struct from the front of `bytes`.
    pub(crate) fn read(bytes: &mut &[u8]) -> Self {
        read(bytes, 12)
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        write(self, &mut out);
        out
    }

    fn fields(&mut self) -> &mut Vec<(i64, Self)> {
        match self {
            Self::Struct(fields) => fields,
            other => panic!("{other:?} has no fields"),
        }
    }

    /// A field that is there.
    pub(crate) fn field(&mut self, id: i64) -> &mut Self {
        let field = self.fields().iter_mut().find(|(other, _)| *other == id);
        &mut field.unwrap_or_else(|| panic!("no field {id}")).1
    }

    pub(crate) fn item(&mut self, index: usize) -> &mut Self {
        &mut self.items()[index]
    }

    pub(crate) fn items(&mut self) -> &mut Vec<Self> {
        match self {
            Self::List(_, items) => items,
            other => panic!("{other:?} has no items"),
        }
    }

    pub(crate) fn has(&self, id: i64) -> bool {
        matches!(self, Self::Struct(fields) if fields.iter().any(|(other, _)| *other == id))
    }

    /// Adds or replaces a field.
    pub(crate) fn set(&mut self, id: i64, value: Self) {
        self.remove(id);
        let fields = self.fields();
        fields.push((id, value));
        fields.sort_by_key(|(id, _)| *id);
    }

    pub(crate) fn remove(&mut self, id: i64) {
        self.fields().retain(|(other, _)| *other != id);
    }

    pub(crate) fn integer(&self) -> i64 {
        match self {
            Self::Integer(_, value) => *value,
            other => panic!("{other:?} is no integer"),
        }
    }
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (head, tail) = bytes.split_at(length);
    *bytes = tail;
    head
}

fn read_varint(bytes: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..).step_by(7) {
        let byte = take(bytes, 1)[0];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    value
}

fn read_integer(bytes: &mut &[u8]) -> i64 {
    let raw = read_varint(bytes);
    (raw >> 1).cast_signed() ^ -(raw & 1).cast_signed()
}

fn read(bytes: &mut &[u8], kind: u8) -> Value {
    match kind {
        1 | 2 => Value::Bool(take(bytes, 1)[0] == 1),
        3 => Value::Byte(take(bytes, 1)[0]),
        4..=6 => Value::Integer(kind, read_integer(bytes)),
        7 => Value::Double(take(bytes, 8).try_into().unwrap()),
        8 => {
            let length = read_varint(bytes) as usize;
            binary(take(bytes, length))
        }
        9 | 10 => {
            let header = take(bytes, 1)[0];
            let size = match header >> 4 {
                15 => read_varint(bytes) as usize,
                short => short.into(),
            };
            let kind = header & 15;
            Value::List(kind, (0..size).map(|_| read(bytes, kind)).collect())
        }
        12 => read_struct(bytes),
        other => panic!("wire type {other} does not occur"),
    }
}

fn read_struct(bytes: &mut &[u8]) -> Value {
    let mut fields = Vec::new();
    let mut id = 0;
    loop {
        let header = take(bytes, 1)[0];
        if header == 0 {
            return Value::Struct(fields);
        }
        id = match header >> 4 {
            0 => read_integer(bytes),
            delta => id + i64::from(delta),
        };
        let value = match header & 15 {
            1 => Value::Bool(true),
            2 => Value::Bool(false),
            kind => read(bytes, kind),
        };
        fields.push((id, value));
    }
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn write_integer(value: i64, out: &mut Vec<u8>) {
    write_varint((value << 1 ^ value >> 63).cast_unsigned(), out);
}

fn kind(value: &Value) -> u8 {
    match value {
        Value::Bool(true) => 1,
        Value::Bool(false) => 2,
        Value::Byte(_) => 3,
        Value::Integer(kind, _) => *kind,
        Value::Double(_) => 7,
        Value::Binary(_) => 8,
        Value::List(..) => 9,
        Value::Struct(_) => 12,
    }
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Bool(value) => out.push(if *value { 1 } else { 2 }),
        Value::Byte(value) => out.push(*value),
        Value::Integer(_, value) => write_integer(*value, out),
        Value::Double(value) => out.extend(value),
        Value::Binary(value) => {
            write_varint(value.len() as u64, out);
            out.extend(value);
        }
        Value::List(kind, items) => {
            if items.len() < 15 {
                out.push((items.len() as u8) << 4 | kind);
            } else {
                out.push(0xf0 | kind);
                write_varint(items.len() as u64, out);
            }
            items.iter().for_each(|item| write(item, out));
        }
        Value::Struct(fields) => {
            let mut last = 0;
            for (id, value) in fields {
                match u8::try_from(id - last) {
                    Ok(delta @ 1..=15) => out.push(delta << 4 | kind(value)),
                    _ => {
                        out.push(kind(value));
                        write_integer(*id, out);
                    }
                }
                last = *id;
                if !matches!(value, Value::Bool(_)) {
                    write(value, out);
                }
            }
            out.push(0);
        }
    }
}
