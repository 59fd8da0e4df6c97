//! Reading a listing to its end.

use super::{Object, Store, StoreError};

/// All objects below `prefix`, in key order, for listings that are known to be
/// short (control objects). Sources are read page by page instead.
pub async fn list_all(store: &dyn Store, prefix: &str) -> Result<Vec<Object>, StoreError> {
    let mut objects = Vec::new();
    let mut next: Option<String> = None;
    loop {
        let page = store.list(prefix, next.as_deref()).await?;
        objects.extend(page.objects);
        next = page.next;
        if next.is_none() {
            return Ok(objects);
        }
    }
}
