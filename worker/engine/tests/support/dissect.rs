//! A file of one column chunk, taken apart into pages and footer.

#![allow(dead_code, reason = "each test binary uses its own part")]

use super::mutate;
use super::thrift::{Value, i64};

/// Fields of the structures in a footer and before pages, by their names in
/// `parquet.thrift`.
pub(crate) mod fields {
    pub(crate) const SCHEMA: i64 = 2;
    pub(crate) const NUM_ROWS: i64 = 3;
    pub(crate) const ROW_GROUPS: i64 = 4;

    pub(crate) mod element {
        pub(crate) const TYPE: i64 = 1;
        pub(crate) const TYPE_LENGTH: i64 = 2;
        pub(crate) const REPETITION: i64 = 3;
        pub(crate) const NAME: i64 = 4;
        pub(crate) const NUM_CHILDREN: i64 = 5;
    }

    pub(crate) mod row_group {
        pub(crate) const COLUMNS: i64 = 1;
        pub(crate) const NUM_ROWS: i64 = 3;
    }

    pub(crate) mod chunk {
        pub(crate) const FILE_PATH: i64 = 1;
        pub(crate) const META_DATA: i64 = 3;
    }

    pub(crate) mod meta {
        pub(crate) const TYPE: i64 = 1;
        pub(crate) const CODEC: i64 = 4;
        pub(crate) const NUM_VALUES: i64 = 5;
        pub(crate) const TOTAL_UNCOMPRESSED_SIZE: i64 = 6;
        pub(crate) const TOTAL_COMPRESSED_SIZE: i64 = 7;
        pub(crate) const DATA_PAGE_OFFSET: i64 = 9;
        pub(crate) const DICTIONARY_PAGE_OFFSET: i64 = 11;
    }

    pub(crate) mod page {
        pub(crate) const TYPE: i64 = 1;
        pub(crate) const UNCOMPRESSED_SIZE: i64 = 2;
        pub(crate) const COMPRESSED_SIZE: i64 = 3;
        pub(crate) const CRC: i64 = 4;
        pub(crate) const DATA: i64 = 5;
        pub(crate) const DICTIONARY: i64 = 7;
        pub(crate) const DATA_V2: i64 = 8;
        /// Within each kind of page.
        pub(crate) const NUM_VALUES: i64 = 1;
        pub(crate) const ENCODING: i64 = 2;
        pub(crate) const DEFINITION_BYTES: i64 = 5;
        pub(crate) const REPETITION_BYTES: i64 = 6;
    }
}

use fields::{ROW_GROUPS, chunk, meta, page, row_group};

pub(crate) struct Page {
    pub(crate) header: Value,
    pub(crate) body: Vec<u8>,
}

impl Page {
    pub(crate) fn is_dictionary(&self) -> bool {
        self.header.has(page::DICTIONARY)
    }

    /// Gives the page another body and says the truth about its size.
    pub(crate) fn set_body(&mut self, body: Vec<u8>, uncompressed: usize) {
        let sizes = [body.len(), uncompressed].map(|size| size as i64);
        self.header
            .set(page::COMPRESSED_SIZE, super::thrift::i32(sizes[0]));
        self.header
            .set(page::UNCOMPRESSED_SIZE, super::thrift::i32(sizes[1]));
        self.body = body;
    }
}

pub(crate) struct Dissected {
    pub(crate) pages: Vec<Page>,
    pub(crate) footer: Value,
}

impl Dissected {
    pub(crate) fn new(file: &[u8]) -> Self {
        let (pages, footer) = mutate::regions(file);
        let footer = Value::read(&mut &file[footer]);
        let mut dissected = Self {
            pages: Vec::new(),
            footer,
        };
        let size = dissected
            .meta()
            .field(meta::TOTAL_COMPRESSED_SIZE)
            .integer();
        let mut rest = &file[pages.start..pages.start + size as usize];
        while !rest.is_empty() {
            let header = Value::read(&mut rest);
            let size = header.clone().field(page::COMPRESSED_SIZE).integer();
            let (body, tail) = rest.split_at(size as usize);
            dissected.pages.push(Page {
                header,
                body: body.to_vec(),
            });
            rest = tail;
        }
        dissected
    }

    pub(crate) fn row_group(&mut self) -> &mut Value {
        self.footer.field(ROW_GROUPS).item(0)
    }

    pub(crate) fn chunk(&mut self) -> &mut Value {
        self.row_group().field(row_group::COLUMNS).item(0)
    }

    pub(crate) fn meta(&mut self) -> &mut Value {
        self.chunk().field(chunk::META_DATA)
    }

    pub(crate) fn data_page(&mut self) -> &mut Page {
        let page = self.pages.iter_mut().find(|page| !page.is_dictionary());
        page.expect("there is a data page")
    }

    /// The bytes of a file whose footer tells the truth about where the pages
    /// are.
    pub(crate) fn assemble(mut self) -> Vec<u8> {
        let mut file = b"PAR1".to_vec();
        let mut data = None;
        let mut dictionary = None;
        for page in &self.pages {
            let first = if page.is_dictionary() {
                &mut dictionary
            } else {
                &mut data
            };
            first.get_or_insert(file.len() as i64);
            file.extend(page.header.to_bytes());
            file.extend(&page.body);
        }
        let size = file.len() as i64 - 4;
        let meta = self.meta();
        meta.set(meta::TOTAL_COMPRESSED_SIZE, i64(size));
        meta.set(meta::DATA_PAGE_OFFSET, i64(data.unwrap_or(4)));
        meta.remove(meta::DICTIONARY_PAGE_OFFSET);
        if let Some(dictionary) = dictionary {
            meta.set(meta::DICTIONARY_PAGE_OFFSET, i64(dictionary));
        }
        with_footer(&file, &self.footer.to_bytes())
    }

    /// The same, with the last word about the footer.
    pub(crate) fn assemble_with(self, edit: impl FnOnce(&mut Self)) -> Vec<u8> {
        let file = self.assemble();
        let (pages, _) = mutate::regions(&file);
        let mut again = Self::new(&file);
        edit(&mut again);
        with_footer(&file[..pages.end], &again.footer.to_bytes())
    }
}

/// `head` is everything before the footer.
pub(crate) fn with_footer(head: &[u8], footer: &[u8]) -> Vec<u8> {
    let length = u32::try_from(footer.len()).expect("it is small");
    [head, footer, &length.to_le_bytes(), b"PAR1"].concat()
}
