//! A look over a footer before the real decoder sees it, which takes lengths and
//! nesting on trust and allocates for what a list or a group claims to hold.

use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::schema::types::Type;

use crate::guard::Depth;
use crate::thrift::{Damaged, Kind, Reader};

/// Schemas nest at most this deep; the decoders recurse over them.
pub(crate) const MAX_SCHEMA_DEPTH: usize = 128;
/// A part of a path in memory, beside its text.
const PART_BYTES: u64 = size_of::<String>() as u64;
/// An item of a list that is not looked at any closer.
const ITEM_BYTES: u64 = 64;

/// What keeps a footer from being decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    /// Its encoding is damaged.
    Damaged(&'static str),
    /// It says that columns are encrypted, which the decoder would ignore.
    Encrypted,
    /// Its schema nests more than [`MAX_SCHEMA_DEPTH`] levels deep.
    TooDeep,
}

impl From<Damaged> for Problem {
    fn from(Damaged(problem): Damaged) -> Self {
        Self::Damaged(problem)
    }
}

/// What decoding a footer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outline {
    /// Bytes that it may take in memory.
    pub(crate) decoded_bytes: u64,
    /// How deep its schema is.
    pub(crate) depth: Depth,
}

/// Walks over the whole footer. Small ones can claim a lot: a row group of one
/// byte, or a thousand columns below one long name, which stands in the path of
/// each.
pub(crate) fn outline(footer: &[u8]) -> Result<Outline, Problem> {
    const SCHEMA: i64 = 2;
    const ROW_GROUPS: i64 = 4;
    const ENCRYPTION_ALGORITHM: i64 = 8;

    let mut reader = Reader::new(footer);
    let mut last = 0;
    let (mut bytes, mut depth) = (0_u64, 0);
    while let Some((id, kind)) = reader.field(&mut last)? {
        let more = match (id, kind) {
            (SCHEMA, Kind::List) => {
                let (bytes, levels) = schema(&mut reader)?;
                depth = levels.max(depth);
                bytes
            }
            (ROW_GROUPS, Kind::List) => row_groups(&mut reader)?,
            (ENCRYPTION_ALGORITHM, _) => return Err(Problem::Encrypted),
            _ => {
                reader.skip_field(kind)?;
                0
            }
        };
        bytes = bytes.saturating_add(more);
    }
    let skipped = reader.skipped_items().saturating_mul(ITEM_BYTES);
    Ok(Outline {
        decoded_bytes: bytes.saturating_add(skipped),
        depth: Depth(depth),
    })
}

/// A group of the schema whose children follow.
struct Group {
    children_left: usize,
    /// Memory for the names from the root to here.
    path_bytes: u64,
}

/// The schema is a list in depth-first order; groups say how many children
/// follow. Returns its bytes and how many levels it has.
fn schema(reader: &mut Reader<'_>) -> Result<(u64, usize), Problem> {
    let size = structs(reader)?;
    let mut bytes = size as u64 * size_of::<Type>() as u64;
    let mut open: Vec<Group> = Vec::new();
    let mut levels = 0;
    for index in 0..size {
        let element = Element::read(reader)?;
        let above = match open.last_mut() {
            Some(parent) => {
                parent.children_left -= 1;
                parent.path_bytes
            }
            None if index > 0 => {
                return Err(Problem::Damaged("the schema goes on after its last column"));
            }
            None => 0,
        };
        let path_bytes = above.saturating_add(PART_BYTES + element.name_bytes);
        let Ok(children_left) = usize::try_from(element.children) else {
            return Err(Problem::Damaged("a negative number of columns"));
        };
        if children_left > size - index - 1 {
            return Err(Problem::Damaged(
                "a schema with fewer columns than it claims",
            ));
        }
        // Every path is put together once, and those of columns are kept.
        let paths = if children_left == 0 { 2 } else { 1 };
        bytes = bytes.saturating_add(path_bytes.saturating_mul(paths));
        open.push(Group {
            children_left,
            path_bytes,
        });
        levels = open.len().max(levels);
        while open.last().is_some_and(|group| group.children_left == 0) {
            open.pop();
        }
        if open.len() > MAX_SCHEMA_DEPTH {
            return Err(Problem::TooDeep);
        }
    }
    if open.is_empty() {
        Ok((bytes, levels))
    } else {
        Err(Problem::Damaged(
            "a schema with fewer columns than it claims",
        ))
    }
}

struct Element {
    name_bytes: u64,
    children: i64,
}

impl Element {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Damaged> {
        const NAME: i64 = 4;
        const NUM_CHILDREN: i64 = 5;

        let (mut name_bytes, mut children) = (0, 0);
        let mut last = 0;
        while let Some((id, kind)) = reader.field(&mut last)? {
            match (id, kind) {
                (NAME, Kind::Binary) => name_bytes = reader.binary()?.len() as u64,
                (NUM_CHILDREN, Kind::Integer) => children = reader.integer()?,
                _ => reader.skip_field(kind)?,
            }
        }
        Ok(Self {
            name_bytes,
            children,
        })
    }
}

fn row_groups(reader: &mut Reader<'_>) -> Result<u64, Problem> {
    const COLUMNS: i64 = 1;

    let size = structs(reader)?;
    let mut bytes = size as u64 * size_of::<RowGroupMetaData>() as u64;
    for _ in 0..size {
        let mut last = 0;
        while let Some((id, kind)) = reader.field(&mut last)? {
            if (id, kind) != (COLUMNS, Kind::List) {
                reader.skip_field(kind)?;
                continue;
            }
            let chunks = structs(reader)?;
            bytes += chunks as u64 * size_of::<ColumnChunkMetaData>() as u64;
            (0..chunks).try_for_each(|_| reader.skip_field(Kind::Struct))?;
        }
    }
    Ok(bytes)
}

/// The length of a list of structs.
fn structs(reader: &mut Reader<'_>) -> Result<usize, Problem> {
    match reader.list()? {
        (0, _) => Ok(0),
        (size, Kind::Struct) => Ok(size),
        _ => Err(Problem::Damaged("a list of something else than structs")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A footer with nothing but a schema of named elements and their children.
    fn footer(elements: &[(&str, u8)]) -> Vec<u8> {
        let mut bytes = vec![0x29, 0xfc];
        bytes.push(u8::try_from(elements.len()).expect("few elements"));
        for (name, children) in elements {
            bytes.extend([0x48, u8::try_from(name.len()).expect("short names")]);
            bytes.extend(name.as_bytes());
            bytes.extend([0x15, children * 2, 0]);
        }
        bytes.push(0);
        bytes
    }

    fn decoded_bytes(footer: &[u8]) -> Result<u64, Problem> {
        outline(footer).map(|outline| outline.decoded_bytes)
    }

    fn path(names: &[&str]) -> u64 {
        names
            .iter()
            .map(|name| PART_BYTES + name.len() as u64)
            .sum()
    }

    #[test]
    fn every_column_has_all_names_above_it_in_its_path() {
        let elements = [("root", 2), ("group", 2), ("a", 0), ("bc", 0), ("d", 0)];
        let columns =
            path(&["root", "group", "a"]) + path(&["root", "group", "bc"]) + path(&["root", "d"]);
        let groups = path(&["root"]) + path(&["root", "group"]);
        let types = 5 * size_of::<Type>() as u64;
        assert_eq!(
            decoded_bytes(&footer(&elements)),
            Ok(types + 2 * columns + groups)
        );
    }

    #[test]
    fn the_depth_is_that_of_the_deepest_column() {
        let deep = [("root", 2), ("group", 1), ("a", 0), ("b", 0)];
        for (elements, depth) in [(&deep[..], 3), (&[("root", 1), ("a", 0)], 2), (&[], 0)] {
            assert_eq!(outline(&footer(elements)).unwrap().depth, Depth(depth));
        }
    }

    #[test]
    fn a_schema_has_as_many_elements_as_its_groups_claim() {
        let too_few = Err(Problem::Damaged(
            "a schema with fewer columns than it claims",
        ));
        let too_many = Err(Problem::Damaged("the schema goes on after its last column"));
        assert_eq!(decoded_bytes(&footer(&[("root", 2), ("a", 0)])), too_few);
        let nested = [("root", 2), ("group", 1), ("a", 0)];
        assert_eq!(decoded_bytes(&footer(&nested)), too_few);
        let after = [("root", 1), ("a", 0), ("b", 0)];
        assert_eq!(decoded_bytes(&footer(&after)), too_many);
    }

    #[test]
    fn row_groups_count_as_what_they_become() {
        // Field 4: three structs without fields.
        let bytes = decoded_bytes(&[0x49, 0x3c, 0, 0, 0, 0]);
        assert_eq!(bytes, Ok(3 * size_of::<RowGroupMetaData>() as u64));
    }
}
