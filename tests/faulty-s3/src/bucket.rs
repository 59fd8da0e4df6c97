//! What a bucket holds, and the rules under which it changes. Whoever calls has
//! the bucket for himself, so every change is atomic.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;

use crate::answer::Refusal;
use crate::object::{Attributes, Object, crc64, etag};

/// Smallest part but the last, in bytes.
const MIN_PART_BYTES: usize = 5 << 20;

/// What a write demands of the present object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    pub(crate) if_match: Option<String>,
    pub(crate) if_none_match: bool,
}

/// A part as the end of an upload names it.
#[derive(Clone, Debug)]
pub(crate) struct Named {
    pub(crate) number: u32,
    pub(crate) etag: String,
    pub(crate) crc64: Option<u64>,
}

/// An unfinished upload.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) key: String,
    pub(crate) started: Timestamp,
    attributes: Attributes,
    parts: BTreeMap<u32, Object>,
}

#[derive(Debug, Default)]
pub(crate) struct Bucket {
    /// Versions of each key, oldest first; `None` marks a deletion.
    objects: BTreeMap<String, Vec<Option<Object>>>,
    pub(crate) uploads: BTreeMap<String, Upload>,
    pub(crate) versioned: bool,
    last_id: u64,
}

impl Bucket {
    /// The newest version.
    pub(crate) fn current(&self, key: &str) -> Option<&Object> {
        self.objects.get(key)?.last()?.as_ref()
    }

    /// The newest version, or the one asked for.
    pub(crate) fn find(&self, key: &str, version: Option<&str>) -> Result<&Object, Refusal> {
        let Some(version) = version.filter(|version| *version != "null") else {
            return self.current(key).ok_or(Refusal::NoSuchKey);
        };
        let versions = self.objects.get(key).ok_or(Refusal::NoSuchKey)?;
        versions
            .iter()
            .flatten()
            .find(|object| object.version.as_deref() == Some(version))
            .ok_or(Refusal::NoSuchVersion)
    }

    /// The newest versions whose key begins with `prefix` and comes after
    /// `after`, in order.
    pub(crate) fn list<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a str, &'a Object)> {
        self.objects
            .range(prefix.to_owned()..)
            .take_while(move |(key, _)| key.starts_with(prefix))
            .filter(move |(key, _)| after.is_none_or(|after| key.as_str() > after))
            .filter_map(|(key, versions)| Some((key.as_str(), versions.last()?.as_ref()?)))
    }

    fn check(&self, key: &str, condition: &Condition) -> Result<(), Refusal> {
        let present = self.current(key);
        if condition.if_none_match && present.is_some() {
            return Err(Refusal::PreconditionFailed);
        }
        match (&condition.if_match, present) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(Refusal::NoSuchKey),
            (Some(wanted), Some(object)) if *wanted == object.etag => Ok(()),
            (Some(_), Some(_)) => Err(Refusal::PreconditionFailed),
        }
    }

    pub(crate) fn put(
        &mut self,
        key: &str,
        mut object: Object,
        condition: &Condition,
    ) -> Result<Object, Refusal> {
        self.check(key, condition)?;
        if self.versioned {
            object.version = Some(format!("v{}", self.next_id()));
        }
        let versions = self.objects.entry(key.to_owned()).or_default();
        if !self.versioned {
            versions.clear();
        }
        versions.push(Some(object.clone()));
        Ok(object)
    }

    pub(crate) fn delete(&mut self, key: &str) {
        if self.versioned {
            self.objects.entry(key.to_owned()).or_default().push(None);
        } else {
            self.objects.remove(key);
        }
    }

    pub(crate) fn begin(&mut self, key: &str, attributes: Attributes) -> String {
        let id = format!("u{}", self.next_id());
        let upload = Upload {
            key: key.to_owned(),
            started: Timestamp::now(),
            attributes,
            parts: BTreeMap::new(),
        };
        self.uploads.insert(id.clone(), upload);
        id
    }

    fn upload(&mut self, key: &str, id: &str) -> Result<&mut Upload, Refusal> {
        self.uploads
            .get_mut(id)
            .filter(|upload| upload.key == key)
            .ok_or(Refusal::NoSuchUpload)
    }

    pub(crate) fn put_part(
        &mut self,
        key: &str,
        id: &str,
        number: u32,
        body: Bytes,
    ) -> Result<Object, Refusal> {
        let part = Object::new(body, Attributes::default());
        let upload = self.upload(key, id)?;
        upload.parts.insert(number, part.clone());
        Ok(part)
    }

    pub(crate) fn abort(&mut self, key: &str, id: &str) -> Result<(), Refusal> {
        self.upload(key, id)?;
        self.uploads.remove(id);
        Ok(())
    }

    /// Makes an object of the named parts. `whole` is the checksum that the
    /// client expects of it.
    pub(crate) fn complete(
        &mut self,
        key: &str,
        id: &str,
        named: &[Named],
        whole: Option<u64>,
        condition: &Condition,
    ) -> Result<Object, Refusal> {
        self.check(key, condition)?;
        let upload = self.upload(key, id)?;
        let parts = chosen(upload, named)?;
        let mut body = BytesMut::with_capacity(parts.iter().map(|part| part.body.len()).sum());
        for part in parts {
            body.extend_from_slice(&part.body);
        }
        let attributes = upload.attributes.clone();
        let mut object = Object::new(body.freeze(), attributes);
        if whole.is_some_and(|whole| whole != object.crc64) {
            return Err(Refusal::BadDigest);
        }
        let etags: String = named.iter().map(|part| part.etag.as_str()).collect();
        let digest = etag(crc64(etags.as_bytes()), object.body.len());
        object.etag = format!("\"{}-{}\"", digest.trim_matches('"'), named.len());
        let object = self.put(key, object, condition)?;
        self.uploads.remove(id);
        Ok(object)
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }
}

fn chosen<'a>(upload: &'a Upload, named: &[Named]) -> Result<Vec<&'a Object>, Refusal> {
    if !named.is_sorted_by(|one, next| one.number < next.number) {
        return Err(Refusal::InvalidPartOrder);
    }
    let parts = named
        .iter()
        .map(|wanted| {
            let part = upload.parts.get(&wanted.number);
            part.filter(|part| part.etag == wanted.etag)
                .filter(|part| wanted.crc64.is_none_or(|crc64| crc64 == part.crc64))
                .ok_or(Refusal::InvalidPart)
        })
        .collect::<Result<Vec<_>, _>>()?;
    let (_, others) = parts.split_last().ok_or(Refusal::MalformedXml)?;
    if others.iter().any(|part| part.body.len() < MIN_PART_BYTES) {
        return Err(Refusal::EntityTooSmall);
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(text: &'static str) -> Object {
        Object::new(Bytes::from_static(text.as_bytes()), Attributes::default())
    }

    #[test]
    fn versions_stay_and_can_be_asked_for() {
        let mut bucket = Bucket {
            versioned: true,
            ..Bucket::default()
        };
        let any = Condition::default();
        let old = bucket.put("k", object("old"), &any).unwrap();
        bucket.put("k", object("new"), &any).unwrap();
        assert_eq!(bucket.find("k", None).unwrap().body, "new");
        assert_eq!(
            bucket.find("k", old.version.as_deref()).unwrap().body,
            "old"
        );
        assert_eq!(
            bucket.find("k", Some("v9")).err(),
            Some(Refusal::NoSuchVersion)
        );
        bucket.delete("k");
        assert_eq!(bucket.find("k", None).err(), Some(Refusal::NoSuchKey));
        assert_eq!(bucket.list("", None).count(), 0);
    }

    #[test]
    fn an_upload_is_held_to_its_parts() {
        let mut bucket = Bucket::default();
        let any = Condition::default();
        let id = bucket.begin("k", Attributes::default());
        let part = |number: u32, part: &Object, crc64| Named {
            number,
            etag: part.etag.clone(),
            crc64,
        };
        let one = bucket
            .put_part("k", &id, 1, Bytes::from_static(b"1"))
            .unwrap();
        let two = bucket
            .put_part("k", &id, 2, Bytes::from_static(b"2"))
            .unwrap();
        for (named, whole, refusal) in [
            (
                vec![part(2, &two, None), part(1, &one, None)],
                None,
                Refusal::InvalidPartOrder,
            ),
            (
                vec![part(1, &one, None), part(2, &two, None)],
                None,
                Refusal::EntityTooSmall,
            ),
            (vec![part(1, &two, None)], None, Refusal::InvalidPart),
            (vec![part(1, &one, Some(5))], None, Refusal::InvalidPart),
            (vec![part(1, &one, None)], Some(5), Refusal::BadDigest),
            (vec![], None, Refusal::MalformedXml),
        ] {
            let outcome = bucket.complete("k", &id, &named, whole, &any);
            assert_eq!(outcome.err(), Some(refusal), "{named:?}");
        }
        let named = [part(1, &one, Some(one.crc64))];
        bucket
            .complete("k", &id, &named, Some(one.crc64), &any)
            .unwrap();
        assert_eq!(bucket.current("k").unwrap().body, "1");
        let again = bucket.complete("k", &id, &named, None, &any);
        assert_eq!(again.err(), Some(Refusal::NoSuchUpload));
    }
}
