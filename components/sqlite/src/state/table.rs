//! The statements on the table.

/// The names of the tables, and each statement's text.
pub(super) struct Table {
    pub(super) metadata: String,
    pub(super) create: String,
    pub(super) get: String,
    pub(super) upsert: String,
    pub(super) insert: String,
    pub(super) update: String,
    pub(super) delete: String,
    pub(super) delete_matching: String,
    pub(super) keys_like: String,
    pub(super) claim_cleaning: String,
    pub(super) clean: String,
}

impl Table {
    /// Both names have been checked to be identifiers.
    pub(super) fn new(state: &str, metadata: &str) -> Self {
        let upsert = format!(
            "INSERT INTO {state} (key, value, is_binary, etag, expiration_time, update_time)
             VALUES (?1, ?2, ?3, ?4, ?5, CURRENT_TIMESTAMP)
             ON CONFLICT (key) DO UPDATE SET value = excluded.value, is_binary = excluded.is_binary, etag = excluded.etag,
               expiration_time = excluded.expiration_time, update_time = excluded.update_time"
        );
        Self {
            metadata: metadata.to_owned(),
            create: format!(
                "CREATE TABLE IF NOT EXISTS {state} (
                   key TEXT NOT NULL PRIMARY KEY,
                   value TEXT NOT NULL,
                   is_binary BOOLEAN NOT NULL,
                   etag TEXT NOT NULL,
                   expiration_time TIMESTAMP DEFAULT NULL,
                   update_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
                 )"
            ),
            get: format!("SELECT value, is_binary, etag, expiration_time FROM {state} WHERE key = ?1"),
            insert: format!("{upsert} WHERE {state}.expiration_time <= CURRENT_TIMESTAMP"),
            upsert,
            update: format!(
                "UPDATE {state} SET value = ?2, is_binary = ?3, etag = ?4, expiration_time = ?5,
                   update_time = CURRENT_TIMESTAMP
                 WHERE key = ?1 AND etag = ?6 AND (expiration_time IS NULL OR expiration_time > CURRENT_TIMESTAMP)"
            ),
            delete: format!("DELETE FROM {state} WHERE key = ?1"),
            delete_matching: format!(
                "DELETE FROM {state}
                 WHERE key = ?1 AND etag = ?2 AND (expiration_time IS NULL OR expiration_time > CURRENT_TIMESTAMP)"
            ),
            keys_like: format!(
                "SELECT key, rowid FROM {state}
                 WHERE rowid > ?2 AND key LIKE ?1 ESCAPE '\\'
                   AND (expiration_time IS NULL OR expiration_time > CURRENT_TIMESTAMP)
                 ORDER BY rowid LIMIT ?3"
            ),
            claim_cleaning: format!(
                "INSERT INTO {metadata} (key, value) VALUES ('last-cleanup', CURRENT_TIMESTAMP)
                 ON CONFLICT (key) DO UPDATE SET value = CURRENT_TIMESTAMP
                 WHERE (unixepoch(CURRENT_TIMESTAMP) - unixepoch(value)) * 1000 > ?1 OR unixepoch(value) IS NULL"
            ),
            clean: format!("DELETE FROM {state} WHERE expiration_time <= CURRENT_TIMESTAMP"),
        }
    }
}
