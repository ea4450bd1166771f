//! The server's key document, issued anew every day: one issue counts for seven.

use std::sync::{Arc, Mutex, PoisonError};

use entente_identity::{Endpoint, UnixMillis, encode};

use crate::clock::now;
use crate::credentials::{Credentials, REISSUE_INTERVAL_MS};

/// Issues the document when it is asked for and the last issue is old.
pub struct KeyDocuments {
    credentials: Credentials,
    endpoint: Endpoint,
    issued: Mutex<(UnixMillis, Arc<[u8]>)>,
}

impl KeyDocuments {
    /// Issues the document of a server that others reach at this endpoint.
    #[must_use]
    pub fn new(credentials: Credentials, endpoint: Endpoint) -> Self {
        let time = now();
        let first = encode(&credentials.issue(endpoint.clone(), time)).into();
        Self {
            credentials,
            endpoint,
            issued: Mutex::new((time, first)),
        }
    }

    /// The newest issue, in its signed bytes.
    #[must_use]
    pub fn current(&self) -> Arc<[u8]> {
        self.at(now())
    }

    fn at(&self, time: UnixMillis) -> Arc<[u8]> {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        if time.since(issued.0) >= REISSUE_INTERVAL_MS {
            let document = self.credentials.issue(self.endpoint.clone(), time);
            *issued = (time, encode(&document).into());
        }
        Arc::clone(&issued.1)
    }
}

#[cfg(test)]
mod tests {
    use entente_identity::{KeyDocument, Signed, decode_exact, verify_key_document};
    use rand::rngs::OsRng;

    use super::*;
    use crate::credentials::first_key_document;
    use crate::data_dir::DataDir;

    #[test]
    fn it_is_issued_anew_every_day_under_the_same_number() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = DataDir::create(&folder.path().join("data")).expect("made");
        let did = "did:web:org-a.test".parse().expect("a DID");
        let (key, next) = dir.create_keys(&did, &mut OsRng).expect("keys");
        let endpoint = Endpoint {
            host: did.domain().clone(),
            port: 8448,
        };
        let born = now().before(100 * REISSUE_INTERVAL_MS);
        let first = first_key_document(&did, &key.public(), &next.public(), endpoint, born);
        dir.create_key_document(&first.sign(&key)).expect("written");
        let credentials = Credentials::load(&dir, &did).expect("loaded");
        let moved = Endpoint {
            host: "chat.org-a.test".parse().expect("a domain"),
            port: 1,
        };
        let documents = KeyDocuments::new(credentials, moved.clone());
        let begun = now();
        let read = |time| -> KeyDocument {
            let bytes = documents.at(time);
            let signed: Signed<KeyDocument> = decode_exact("document", &bytes).expect("bytes");
            let verified = verify_key_document(&did, &signed, time).expect("holds");
            verified.into_body()
        };
        let today = read(begun);
        assert_eq!((today.seq, &today.keys), (0, &first.keys));
        assert_eq!(today.endpoints, [moved]);
        assert_eq!(read(begun.after(1_000)), today);
        let later = begun.after(30 * REISSUE_INTERVAL_MS);
        assert_eq!(read(later).issued, later);
    }
}
